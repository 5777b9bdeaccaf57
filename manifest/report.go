package manifest

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// Report is everything that can be told of a tree, whether it can be adopted or not.
type Report struct {
	// Set holds the objects that are valid by themselves. It can be adopted, and stand for prev in Load,
	// only if there are no mistakes. Nil if the tree was not read to its end.
	Set *Set
	// Mistakes is what Load returns, Warnings what the Set has.
	Mistakes, Warnings Mistakes
}

// Check reads a tree as Load does and tells everything about it. The error says that the tree could not
// be read or rendered, never what is wrong with it.
func (c Loader) Check(fsys fs.FS, prev *Set) (Report, error) {
	l := newLoader(c, fsys, prev)
	set, err := l.load()
	var r Report
	switch {
	case errors.As(err, &r.Mistakes):
		return r, nil
	case err != nil:
		return r, err
	}
	r.Set, r.Warnings = set, set.Warnings()
	if len(l.mistakes) > 0 {
		r.Mistakes = l.refusal()
	}
	return r, nil
}

// Place is a field of an object of a Set.
type Place struct {
	Ref   Ref
	Field string // spec.containers[0].image, data[key]; empty for the object itself
}

// Places finds where fields are written, in the order of places: each the line of the field, or of the
// nearest one around it that is written, or of the object. fsys is the tree that the Set was loaded from.
func (s *Set) Places(fsys fs.FS, places []Place) []Source {
	l := newLoader(Loader{}, fsys, nil)
	at := make([]*parsed, len(places))
	order := make([]int, len(places))
	for i, p := range places {
		at[i], order[i] = lookUp(s.objects, p.Ref), i
	}
	found := make([]Source, len(places))
	order = slices.DeleteFunc(order, func(i int) bool { return at[i] == nil })
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(at[a].Source.compare(at[b].Source), strings.Compare(places[a].Field, places[b].Field))
	})
	var last placed
	for _, i := range order {
		found[i] = at[i].Source
		if places[i].Field != "" {
			found[i].Line = last.line(l, finding{at: at[i], field: places[i].Field})
		}
	}
	return found
}
