// Package crilog writes the output of a container in the CRI log format, the
// one log collectors and kubectl know, and rotates the files itself.
//
// It never buffers: what Format did not take stays with the caller, so a
// process that dies between two calls has lost nothing it was given. It never
// makes an error of a full disk into an error of the container: what cannot be
// written is counted.
package crilog
