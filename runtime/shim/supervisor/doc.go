// Package supervisor is what writ-shim does: it holds the containers of one
// pod, keeps what it knows about them on disk, writes their logs and answers
// the protocol of runtime/shim. Serve runs it, Destroy removes what one left.
//
// It never restarts a container, never chooses a limit, an image or a mount,
// and speaks to nobody but the user it runs as.
//
// Invariants: an exit is on disk before anybody is told; a killed supervisor
// is replaced by another one on the same directory without a container
// noticing; a process is only signalled when its start time and the boot are
// the ones on record. DESIGN.md beside this file tells how.
package supervisor
