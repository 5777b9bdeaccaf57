package image

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Listed is one image of the store, for people and for who makes room.
type Listed struct {
	// ID is the digest of the configuration.
	ID string
	// Refs are its names by tag, Digests those by digest; both in full and sorted.
	Refs, Digests []string
	// Size is in bytes as transferred, Disk as it lies here; a layer that several
	// images share counts for each.
	Size, Disk int64
	// Created is when its author made it, zero if they do not say; Taken when it came
	// here; Used when a container last wanted it, zero for never.
	Created, Taken, Used time.Time
	// Pinned says why it stays whether it is used or not: the files of the archive
	// folder and the commits that name it.
	Pinned []string
}

// Last is when somebody last showed interest in the image.
func (l *Listed) Last() time.Time {
	if l.Used.After(l.Taken) {
		return l.Used
	}
	return l.Taken
}

// List gives every image, ordered by name and ID.
func (s *Store) List() []Listed {
	x := s.current.Load()
	all := map[string]*Listed{}
	for id, r := range x.Images {
		l := &Listed{ID: id, Size: r.Size, Created: r.Created, Taken: r.Taken, Used: s.lastUse(id, r)}
		for _, d := range r.Layers {
			l.Disk += s.takes(d).bytes
		}
		all[id] = l
	}
	name := func(names map[string]target) {
		for ref, t := range names {
			if l := all[t.ID]; l != nil {
				l.name(ref)
			}
		}
	}
	name(x.Pulled)
	for _, a := range x.Archives {
		name(a.Names)
	}
	for id, why := range x.pinned() {
		if l := all[id]; l != nil {
			l.Pinned = why
		}
	}
	return sortedList(all)
}

func (l *Listed) name(ref string) {
	if strings.Contains(ref, "@") {
		l.Digests = append(l.Digests, ref)
	} else {
		l.Refs = append(l.Refs, ref)
	}
}

func sortedList(all map[string]*Listed) []Listed {
	out := make([]Listed, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		l := all[id]
		slices.Sort(l.Refs)
		slices.Sort(l.Digests)
		l.Refs, l.Digests = slices.Compact(l.Refs), slices.Compact(l.Digests)
		out = append(out, *l)
	}
	slices.SortStableFunc(out, func(a, b Listed) int { return strings.Compare(a.title(), b.title()) })
	return out
}

// title is what the image is listed under.
func (l *Listed) title() string {
	for _, names := range [][]string{l.Refs, l.Digests} {
		if len(names) > 0 {
			return names[0]
		}
	}
	return "~" + l.ID // behind those with a name
}

// Use notes that a container wants the image now. It reaches the disk with the next
// change of the index.
func (s *Store) Use(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[id] = time.Now()
}

func (s *Store) lastUse(id string, r record) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.used[id]; t.After(r.Used) {
		return t
	}
	return r.Used
}

// fold writes what is known beside the index into one that is to be saved.
func (s *Store) fold(x *index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range x.Images {
		if t := s.used[id]; t.After(r.Used) {
			r.Used = t
			x.Images[id] = r
		}
	}
	layers := x.layers()
	for d := range layers {
		if e, ok := s.extents[d]; ok {
			x.Extents[d] = savedExtent{Bytes: e.bytes, Files: e.files}
		}
	}
	maps.DeleteFunc(x.Extents, func(d string, _ savedExtent) bool { return !layers[d] })
	maps.DeleteFunc(s.used, func(id string, _ time.Time) bool { _, ok := x.Images[id]; return !ok })
}
