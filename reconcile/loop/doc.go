// Package loop carries out what reconcile plans: it waits until the World changed, a commit came or
// the time has come, takes the World, computes, proposes, and reports. It is the only writer of
// decisions.
//
// It never decides anything by itself and keeps nothing that a restart would miss: what it remembers
// only makes computing cheaper, and the Set of the adopted commit is loaded again.
//
// Invariant: a commit becomes true as a whole or not at all, the newest one supersedes all before it,
// and no content of a commit ends the loop. See DESIGN.md.
package loop
