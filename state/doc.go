// Package state is the picture that everything else looks at: the World, the Batches of facts that
// move it, and the one function, Apply, that makes the next World of a World and a Batch.
//
// It knows none of the actors: sync, reconcile, the effectors and the API meet here and nowhere else.
// It keeps nothing and does nothing: state/store keeps it, state/event holds what is only told.
//
// Invariants: a World never changes after it was made; equal World and Batch give equal results;
// each fact has one writer; a revision only grows.
package state
