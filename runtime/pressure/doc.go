// Package pressure decides what a node does when memory, disk or process numbers get short, and which Pod
// used more of the disk than it may: the rules of the kubelet's eviction manager as a function of numbers.
//
// It never measures, removes or ends anything, and knows no clock: the runtime measures, asks Decide what
// to do, does it, and asks again.
//
// Invariant: what can be taken from nobody (dead containers, old logs, unused images) goes before a Pod
// does, one Pod goes at a time, and a Pod on which the system rests never does.
package pressure
