package manifest

import (
	"iter"
	"slices"
)

// Set is every object of one commit: rendered, defaulted and validated, each with where it was
// written. It is immutable.
type Set struct {
	items    []Item       // sorted by Ref
	digests  []itemDigest // of the items, in the same order
	warnings Mistakes
	settings Cluster
	digest   string
}

// NewSet makes a Set of items that are already defaulted and valid, sorting them by Ref.
// The caller gives up ownership of items. It panics when an object cannot be encoded, which no
// defaulted and valid object does.
func NewSet(settings Cluster, items []Item, warnings Mistakes) *Set {
	slices.SortFunc(items, func(a, b Item) int { return a.Ref.Compare(b.Ref) })
	s := &Set{items: items, digests: make([]itemDigest, len(items)), warnings: warnings, settings: settings}
	for i := range items {
		d, err := digestItem(items[i].Object)
		if err != nil {
			panic("manifest: " + err.Error())
		}
		s.digests[i] = d
	}
	s.digest = digestOf(settings, s.digests)
	return s
}

// All yields the items in the order of their Ref.
func (s *Set) All() iter.Seq[Item] { return slices.Values(s.items) }

// Len is the number of objects.
func (s *Set) Len() int { return len(s.items) }

// Get is the item with the given identity.
func (s *Set) Get(ref Ref) (Item, bool) {
	i, ok := slices.BinarySearchFunc(s.items, ref, func(it Item, r Ref) int { return it.Ref.Compare(r) })
	if !ok {
		return Item{}, false
	}
	return s.items[i], true
}

// Warnings is what is accepted but probably not meant, sorted by place.
func (s *Set) Warnings() Mistakes { return s.warnings }

// Settings is the writ.yaml of the commit with every default filled in.
func (s *Set) Settings() Cluster { return s.settings }

// Digest is the SHA-256, in hex, of everything that was rendered, independent of where it was written.
func (s *Set) Digest() string { return s.digest }
