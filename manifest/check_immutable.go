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

// immutableChanges reports what OnImmutableChangeAnnotation cannot say, before it is needed.
func (w *whole) immutableChanges() {
	for _, p := range w.objects {
		how, said := p.Object.GetAnnotations()[OnImmutableChangeAnnotation]
		if said && how != Recreate && how != Orphan {
			w.about(p, "metadata.annotations["+OnImmutableChangeAnnotation+"]", fmt.Sprintf("%q must be %s or %s", how, Recreate, Orphan))
		}
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
