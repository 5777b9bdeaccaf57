package state

import (
	"iter"

	"github.com/google/uuid"

	"writ/manifest"
)

// Key is the identity of an object as bytes, ordered by kind, group, namespace and name.
func Key(ref manifest.Ref) []byte { return recordKey(ref) }

// Load makes the World that was stored: records as they are, with their revisions and UIDs, and the
// adoptions, oldest first, of which the last is in force.
func Load(id uuid.UUID, at Revision, history []Adoption, records iter.Seq[*Record]) *World {
	w := NewWorld(id)
	w.revision = at
	w.history = history
	if n := len(history); n > 0 {
		w.adopted = history[n-1]
	}
	t := begin(w, Batch{}, at)
	for r := range records {
		t.records.Insert(recordKey(r.Ref), r)
		t.reindex(nil, r)
	}
	next, _, _ := t.commit() // without an adoption or changes there is nothing to refuse
	return next
}

// Replay makes again the World that a Batch once made of w, from what the Batch did and not from what
// it said: records come and go as they were. Nothing is checked. at must be above the revision of w.
func Replay(w *World, done []Change, adopted *Adoption, at Revision) *World {
	t := begin(w, Batch{Adopt: adopted}, at)
	for _, c := range done {
		old := w.Get(c.Ref)
		if old != nil || c.New != nil {
			t.set(old, c.New)
		}
	}
	next, _, _ := t.commit()
	return next
}
