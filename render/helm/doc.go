// Package helm renders charts with Helm's own engine, inside the rendering child: a chart that lies in
// the repository or in an archive that the daemon fetched, its values, its dependencies, its hooks. It
// tells where each object came from, and refuses what would differ the next time.
//
// It never talks to a cluster or a network: lookup finds nothing, a dependency that is not there is a
// mistake. Invariant: what Build returns depends on what was asked of the daemon alone.
package helm
