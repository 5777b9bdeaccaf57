// Package fetch gets charts from chart repositories and registries, and remote bases of kustomizations
// from Git servers, on the daemon's side. A chart is fetched once and kept by its digest, a base by its
// commit, so that what was adopted can be rendered while its server is away, and a version that means
// something else later is noticed. It never unpacks a chart: the rendering child does. A base is unpacked
// here, since Git's own format has to be read to know its commit, but what its files say is not read.
//
// Invariant: a version that was once fetched has one content in the folder for ever; another one comes
// in only where writ.yaml names its digest. A tag that was once fetched is one commit for ever. Files
// appear there complete, by renaming.
package fetch
