// Package reconcile says what has to become true: the one function from a World (and, for a new
// commit, its Set) to a Plan. A Plan goes all the way, from a changed Deployment over its ReplicaSets
// and Pods to bindings, endpoints and statuses, in one Batch.
//
// It is pure. It never waits, starts or stops anything: reconcile/loop carries Plans to the store, the
// effectors of the nodes make the rest true. Each concern has its own file, or a package where it can be said as a
// function that needs no draft, and looks at one object (its key) at a time; what it states in the draft wakes other concerns through wakes.go, in the draft
// exactly as later in the World, until nothing is left to say.
//
// Invariants: equal input gives equal output; the Plan of a converged World is empty; computing for
// the keys that changes wake gives what computing for all keys gives; before Plan.Wake time alone
// changes nothing.
package reconcile
