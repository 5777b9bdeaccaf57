package manifest

import (
	"fmt"
	"io/fs"
	"strings"
)

// OnImmutableChangeAnnotation is where an author says what becomes of an object of which a field changed
// that must not.
const OnImmutableChangeAnnotation = "writ.dev/on-immutable-change"

// The values of OnImmutableChangeAnnotation. In both cases the object is made new in the same adoption.
const (
	Recreate = "recreate" // it is deleted with all that it made
	Orphan   = "orphan"   // what it made is left behind
)

// immutableFlaws adds values that mean nothing, before one is needed.
func (n *needs) immutableFlaws(p *parsed) {
	how, said := p.Object.GetAnnotations()[OnImmutableChangeAnnotation]
	if said && how != Recreate && how != Orphan {
		n.flaw(annotation(OnImmutableChangeAnnotation), fmt.Sprintf("%q must be %s or %s", how, Recreate, Orphan))
	}
}

// Locate gives mistakes about objects of the Set the lines of the fields that they begin with. fsys is the
// tree that the Set was loaded from.
func (s *Set) Locate(fsys fs.FS, mistakes Mistakes) {
	places := make([]Place, len(mistakes))
	for i, m := range mistakes {
		places[i] = Place{Ref: m.Ref}
		if field, _, found := strings.Cut(m.What, ": "); found && !strings.Contains(field, " ") {
			places[i].Field = field
		}
	}
	for i, source := range s.Places(fsys, places) {
		if source.Path != "" {
			mistakes[i].Source = source
		}
	}
	mistakes.Sort()
}
