// Package schedule decides on which node a Pod runs: it filters the nodes that can take it, scores
// them and names the best, or says in upstream's words and with numbers why none can.
//
// It is pure: an Index is filled from a World and kept up to date from its Changes; nothing here reads
// a clock, binds a Pod or remembers an earlier answer. Not acted on: topology spread and preemption.
//
// Invariant: equal nodes, equal Pods bound to them and an equal Pod give an equal answer, whatever
// the order in which the Index learnt of them.
package schedule
