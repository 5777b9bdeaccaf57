// Package sockets keeps the daemon's listening sockets while the daemon is away, so that what is asked
// during a restart or an upgrade waits in them instead of failing. Where systemd keeps descriptors for
// its services it does; else a holder does, a small process that does nothing but hold them.
//
// It never reads from a socket, and knows nothing of what is spoken there. Without it everything works,
// but what is asked in the moment of a restart fails.
//
// Invariant: what is kept under a name is exactly what was given last under that name. A holder that no
// daemon is connected to lets go after a minute: nobody waits for a daemon that does not come back.
package sockets
