// Package api is the Kubernetes API of the cluster: upstream's generic API server with upstream's own registries,
// printers and rules over the World, which api/worldstore gives them as their storage. Everything that reads works as with any
// cluster. Nothing is written: the repository is the only input, and a write is answered with where to make it.
//
// Below it stand api/worldstore, api/access (who may do what) and api/control, the daemon's own socket, which is no part of
// the Kubernetes API.
package api
