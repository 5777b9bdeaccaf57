// Package usage measures: what a directory takes of its disk, what a control group uses, and how much memory,
// disk and process numbers a node has left.
//
// It never judges, keeps nothing, and takes little of the node that it measures. What a container can arrange
// below a directory leads it nowhere else, and costs it no memory.
//
// Invariant: a measurement that could not be made is an error or missing, never zero.
package usage
