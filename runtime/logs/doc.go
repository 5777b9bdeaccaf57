// Package logs reads the logs of containers in the CRI format: all of it, the last
// lines, what is newer than a time, and on as it is written, over rotations.
//
// It never writes a log and never decides which file is a container's.
//
// Invariant: every line is given once and in the order it was written, also where
// the file is rotated while it is read; lines that a rotation threw away are gone.
package logs
