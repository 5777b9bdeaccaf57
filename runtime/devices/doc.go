// Package devices is the node's side of device plugins: programs that register over a socket, tell which devices
// of an extended resource they have, and say what a container needs to use one (kubelet's API v1beta1).
//
// It never touches a device: what plugins say is handed on to whoever makes the container. It starts no plugin.
//
// Invariant: a device belongs to one Pod at a time, and what a Pod was given is on disk before anybody is told, so that
// a daemon that starts again gives it to nobody else.
package devices
