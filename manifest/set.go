package manifest

import (
	"iter"
	"slices"
)

// Set is every object of one commit: rendered, defaulted and validated, each with where it was
// written. It is immutable.
type Set struct {
	items    []Item // sorted by Ref
	index    map[Ref]int
	warnings Mistakes
	settings Cluster
	digest   string
	cache    *cache // what Load reuses for the next commit; nil for a Set made by NewSet
}

// NewSet makes a Set of items that are already defaulted and valid, sorting them by Ref.
// The caller gives up ownership of items.
func NewSet(settings Cluster, items []Item, warnings Mistakes) *Set {
	slices.SortFunc(items, func(a, b Item) int { return a.Ref.Compare(b.Ref) })
	index := make(map[Ref]int, len(items))
	for i := range items {
		index[items[i].Ref] = i
	}
	s := &Set{items: items, index: index, warnings: warnings, settings: settings}
	s.digest = digestOf(settings, items)
	return s
}

// All yields the items in the order of their Ref.
func (s *Set) All() iter.Seq[Item] { return slices.Values(s.items) }

// Len is the number of objects.
func (s *Set) Len() int { return len(s.items) }

// Get is the item with the given identity.
func (s *Set) Get(ref Ref) (Item, bool) {
	i, ok := s.index[ref]
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
