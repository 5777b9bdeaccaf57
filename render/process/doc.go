// Package process starts the children of the daemon that are spoken to over pipes, and ends them. What a
// child may do it gives up itself (package sandbox); here it gets namespaces of its own and an empty
// environment. A child that is gone says why as far as that can be known, and never more than one line.
package process
