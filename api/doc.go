// Package api is where the read-only Kubernetes API will stand. Until it does, the daemon is read
// through api/control, its own socket. It never writes anything: the repository is the only input.
package api
