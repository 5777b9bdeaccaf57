// Package sim is a node as a pure function: given what the node may see, it states what a healthy
// runtime and network, or one that misbehaves by script, would have observed by now. Tests and
// scenarios use it as their runtime.
//
// It runs nothing. Invariant: what a node observes depends on its View, the script and the time
// alone; a node with nothing new observes nothing.
package sim
