package manifest

import (
	"iter"
	"slices"
)

// Set is every object of one commit: rendered, defaulted and validated, each with where it was
// written. It is immutable.
type Set struct {
	objects  []*parsed // sorted by Ref
	warnings Mistakes
	settings Cluster
	digest   string
	root     *folder // what Load takes over for the next commit; nil for a Set made by NewSet
	units    []*unit
	keys     string          // that encrypted documents were opened with
	taken    map[string]bool // manifests that are only read by units
	scopes   scopes
	spots    spots // lines of warnings of the whole, which are looked up once
}

// NewSet makes a Set of items that are already defaulted and valid, sorting them by Ref.
// The caller gives up ownership of items. It panics when an object cannot be encoded, which no
// defaulted and valid object does.
func NewSet(settings Cluster, items []Item, warnings Mistakes) *Set {
	s := &Set{objects: make([]*parsed, len(items)), warnings: warnings, settings: settings}
	for i, item := range items {
		p, err := newParsed(item, "")
		if err != nil {
			panic("manifest: " + err.Error())
		}
		s.objects[i] = p
	}
	slices.SortFunc(s.objects, compareParsed)
	s.digest = digestOf(settings, s.objects)
	return s
}

// All yields the items in the order of their Ref.
func (s *Set) All() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, p := range s.objects {
			if !yield(p.Item) {
				return
			}
		}
	}
}

// Len is the number of objects.
func (s *Set) Len() int { return len(s.objects) }

// Get is the item with the given identity.
func (s *Set) Get(ref Ref) (Item, bool) {
	if p := lookUp(s.objects, ref); p != nil {
		return p.Item, true
	}
	return Item{}, false
}

// Warnings is what is accepted but probably not meant, sorted by place.
func (s *Set) Warnings() Mistakes { return s.warnings }

// Settings is the writ.yaml of the commit with every default filled in.
func (s *Set) Settings() Cluster { return s.settings }

// Releases are the charts of the commit as Helm's own tools know them, in the order of spec.charts.
func (s *Set) Releases() []*Release {
	var all []*Release
	for _, u := range s.units {
		if u.release != nil {
			all = append(all, u.release)
		}
	}
	return all
}

// Digest is the SHA-256, in hex, of everything that was rendered, independent of where it was written.
func (s *Set) Digest() string { return s.digest }
