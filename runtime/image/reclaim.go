package image

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reclaim says what may go to make room.
type Reclaim struct {
	// Need is how many bytes are wanted; everything that may go goes if it is not positive.
	Need int64
	// Before spares what came here later; the zero value spares nothing.
	Before time.Time
	// Keep says why an image must stay, with nothing if it may go. It has to know the
	// image of every container that exists or is about to.
	Keep func(l *Listed) string
	// DryRun only says what would go.
	DryRun bool
}

// Reclaimed is what went.
type Reclaimed struct {
	Images []Listed
	// Bytes that their layers took on disk, without those that another image needs.
	Bytes int64
}

// Reclaim removes images that nothing keeps, those that were out of use for the
// longest time first, and every layer that no image needs. What is pinned stays: see
// Listed. A layer that is still mounted goes with a later call.
func (s *Store) Reclaim(q Reclaim) (Reclaimed, error) {
	out := s.plan(q)
	if q.DryRun {
		return out, nil
	}
	if len(out.Images) > 0 {
		gone := map[string]bool{}
		for i := range out.Images {
			gone[out.Images[i].ID] = true
		}
		if err := s.update(func(x *index) { x.drop(func(id string, _ record) bool { return gone[id] }) }); err != nil {
			return Reclaimed{}, fmt.Errorf("remove images: %w", err)
		}
		s.log.Info("images removed", "images", titles(out.Images), "bytes", out.Bytes)
	}
	var err error
	out.Bytes, err = s.sweep()
	return out, err
}

// plan picks images, the longest unused first, until their own layers make up what is needed.
func (s *Store) plan(q Reclaim) Reclaimed {
	x := s.current.Load()
	needed := map[string]int{} // layers, by how many images have them
	for _, r := range x.Images {
		for _, d := range r.Layers {
			needed[d]++
		}
	}
	var out Reclaimed
	for _, l := range s.candidates(q) {
		if q.Need > 0 && out.Bytes >= q.Need {
			break
		}
		for _, d := range x.Images[l.ID].Layers {
			if needed[d]--; needed[d] == 0 {
				out.Bytes += s.takes(d).bytes
			}
		}
		out.Images = append(out.Images, l)
	}
	return out
}

func (s *Store) candidates(q Reclaim) []Listed {
	var out []Listed
	for _, l := range s.List() {
		spared := !q.Before.IsZero() && l.Taken.After(q.Before)
		if len(l.Pinned) > 0 || spared || q.Keep(&l) != "" {
			continue
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Listed) int {
		if c := a.Last().Compare(b.Last()); c != 0 {
			return c
		}
		return a.Taken.Compare(b.Taken)
	})
	return out
}

func titles(images []Listed) string {
	names := make([]string, len(images))
	for i := range images {
		names[i] = strings.TrimPrefix(images[i].title(), "~")
	}
	return strings.Join(names, " ")
}
