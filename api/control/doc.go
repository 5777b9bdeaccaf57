// Package control is how the commands of writ look at the running daemon: HTTP over a unix socket
// that belongs to root. It shows status, events, history and the tree of objects, follows logs, runs
// commands in containers and asks the daemon to go.
//
// It never writes to the World: what runs is decided by the repository. Whoever may open the socket
// may read everything, Secrets excepted, and enter every container; RBAC is not asked.
package control
