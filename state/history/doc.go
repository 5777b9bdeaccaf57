// Package history keeps how far each commit has come, for people: when it was seen, verified, rendered,
// adopted and healthy, or why it was stopped before. It survives a restart, and a rebuild of the store.
//
// Nothing rests on it: it is no part of the World, it is not in the log, and what a power cut takes of
// its last moments is gone. It is one file of lines, each a commit as it stood then; the last line of a
// commit counts. A line that cannot be read is passed over.
//
// Invariants: the file never grows over its limit; the newest commits stay; no values of objects are in it.
package history
