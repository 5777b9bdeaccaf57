package reconcile

import (
	"writ/manifest"
	"writ/state"
)

// held says that an object uses fields that are not acted on yet, and notes each of them. It is not
// started: half of what its author wrote would be worse than nothing.
func (d *draft) held(r *state.Record) bool {
	uses := notYet(r)
	for _, u := range uses {
		d.note(r.Ref, u.Path, u.Reason)
	}
	return len(uses) > 0
}

// uses is held without the notes.
func (d *draft) uses(r *state.Record) bool { return len(notYet(r)) > 0 }

// notYet lists the uses of an object that somebody wrote. What is derived was looked at in its owner.
func notYet(r *state.Record) []manifest.FieldUse {
	if r.Origin == state.Derived && r.Ref.Kind == "Pod" || r.Origin == state.Builtin {
		return nil
	}
	return manifest.NotYet(r.Object)
}
