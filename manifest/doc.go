// Package manifest holds the objects that a commit declares: it reads a tree of YAML and JSON,
// decodes strictly, fills in upstream's defaults, validates with upstream's own rules and reports
// every mistake at once, each with path and line.
//
// It never opens a file by itself (it is given an fs.FS), never looks at the cluster and never keeps
// state. Invariant: what Load returns depends on the tree alone, and objects in a Set are never
// modified after.
package manifest
