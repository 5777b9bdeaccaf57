// Package store keeps the World: Propose is the only way to change it, and a World that was once
// published comes back after any crash.
//
// It decides nothing and knows none of the writers. Decisions are in an fsynced log (hashicorp/raft)
// before anybody sees them; Badger holds the records and may always lag behind. How a crash at any point
// is survived is told in DESIGN.md beside this file.
//
// Invariants: the published World is what the log says plus observations; revisions only grow, also over
// restarts; a store that cannot be read whole is refused, never opened by half.
package store
