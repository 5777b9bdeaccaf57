package reconcile

import (
	"writ/state"
)

// held says that an object uses fields that are not acted on yet, and notes each of them. It is not
// started: half of what its author wrote would be worse than nothing.
func (d *draft) held(r *state.Record) bool {
	uses := notYet(r)
	for _, u := range uses {
		d.note(r.Ref, u.Field, u.What)
	}
	return len(uses) > 0
}

// uses is held without the notes.
func (d *draft) uses(r *state.Record) bool { return len(notYet(r)) > 0 }

// use is one place where an object uses what is not acted on yet.
type use struct{ Field, What string }

// notYet lists the uses of an object.
func notYet(*state.Record) []use { return nil }
