// Package admit gives Pods what upstream's admission gives them: the default ServiceAccount and its
// pull secrets, the tolerations of a node that is away for a while, the priority of their class, the
// overhead and scheduling of their runtime class, and the defaults that only Pods have. Every derived and declared Pod passes through it.
//
// It never refuses what upstream admits, and never changes what the author wrote. It is pure.
//
// Invariant: admitting an admitted Pod changes nothing.
package admit
