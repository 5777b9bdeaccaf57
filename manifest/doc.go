// Package manifest holds the objects that a commit declares: it reads a tree of YAML and JSON,
// decodes strictly, fills in upstream's defaults, validates with upstream's own rules and reports
// every mistake at once, each with path and line.
//
// A tree is every .yaml, .yml and .json file at any depth. Left out are what .writignore lists, names
// that begin with a dot and objects annotated config.kubernetes.io/local-config: "true". writ.yaml at
// the root holds the cluster's settings. Content is hostile until it is checked: sizes, nesting,
// aliases and counts are bounded (document.go), links are followed inside the repository only, and a
// panic of upstream's code is a mistake of the object.
//
// Old API versions are converted by upstream's code and warned of (old.go). What only the whole commit
// shows, such as names that lead nowhere, is checked at last (check*.go): what can never work is a
// mistake, what Kubernetes accepts and may come to work a warning. Both name the two places.
//
// Upstream's scheme, defaulters and registry strategies do the work, on copies; upstream's internal
// types never leave the package. Custom resources are checked by the schema and the rules of their
// definition in the commit (customrules.go), and kept as they are written. What is unchanged since the
// Set before is taken over by pointer, so a commit costs what it changes.
//
// It never opens a file by itself (it is given an fs.FS), never looks at the cluster and never keeps
// state. Invariant: what Load returns depends on the tree alone, and objects in a Set are never
// modified after.
package manifest
