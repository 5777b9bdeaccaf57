// Package fetch gets charts from chart repositories and registries, on the daemon's side. A chart is
// fetched once and kept by its digest, so that what was adopted can be rendered while its server is
// away, and a version that means something else later is noticed. It never unpacks what it fetched:
// the rendering child does.
//
// Invariant: a version that was once fetched has one content in the folder for ever; another one comes
// in only where writ.yaml names its digest. Files appear there complete, by renaming.
package fetch
