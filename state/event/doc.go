// Package event keeps what happened lately for people: a ring of state.Event, the same one told again
// being counted and not repeated, bounded by bytes and age.
//
// It is in memory only, holds nothing that a decision rests on, and is the first to lose something.
// Invariant: an event that was listed once never comes back changed but for Count, Last and UID.
package event
