// Package sync follows a Git repository. It keeps a bare mirror of the followed branch, tag or
// commit in a folder of its own and hands out each new commit as an fs.FS that reads from the
// mirror on demand.
//
// For checking before a commit it also reads a work tree on this machine as the commit that it would
// become (Checkout), and the commit that a branch started from.
//
// It never checks out a work tree, never runs the git binary, never runs a hook, never writes to
// the followed repository, and never looks into the files of a commit.
//
// Invariant: a commit that was delivered is complete in the mirror, so it stays readable, also
// after a restart, whatever happens to the server or to the repository it came from. When
// something is wrong the last delivered commit stays in force and State says what and since when.
package sync
