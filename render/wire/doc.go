// Package wire is what the daemon and a rendering child say to each other: the daemon gives jobs, the
// child asks for files of the repository while it works on one, and ends it with a result. Neither
// trusts the other's sizes: a frame is bounded, and what the child sends is read as plain JSON.
package wire
