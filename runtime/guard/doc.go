// Package guard keeps a node healthy: it measures it every ten seconds, more often when memory gets short and
// at once when the kernel tells of a stall, asks pressure.Decide what to do, and has it done; and it measures the
// Pods that may use only so much of the disk.
//
// It decides nothing itself, and waits for no measurement that hangs: one that does is left behind.
//
// Invariant: a Pod without a limit costs nothing while nothing is short.
package guard
