// Package shim is how the daemon speaks to writ-shim, the process that holds
// the containers of one pod: the protocol (protocol.go, frame.go), the client
// (client.go, launch.go) and the places on disk that both know (layout.go).
// The supervisor itself is in runtime/shim/supervisor and is linked into
// writ-shim only, so the daemon carries no container library.
//
// It never decides anything: what runs, with which limits, namespaces and
// mounts is the OCI specification that the daemon sends. It imports nothing of
// this module and nothing of Kubernetes.
//
// Invariant: the protocol only grows. A field is never removed and never
// changes its meaning, an operation a shim does not know is answered with
// CodeUnsupported, a field a shim does not know is ignored; so an upgraded
// daemon drives the shims that were started by an older one.
package shim
