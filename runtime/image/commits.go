package image

import (
	"fmt"
	"maps"
	"slices"
)

// commitImages are the images that one adopted commit names, as written in full.
type commitImages struct {
	Commit string   `json:"commit"`
	Refs   []string `json:"refs"`
}

// keptCommits is how many commits pin their images: the adopted one and the one before.
const keptCommits = 2

// Adopted tells which images the adopted commit names. They stay, and so do those of
// the commit before it, so that a revert needs no registry. A commit that names what
// the last one named takes its place: "before" is where something else ran. It is
// remembered over restarts.
func (s *Store) Adopted(commit string, references []string) error {
	refs := map[string]bool{}
	for _, text := range references {
		if r, err := parseRef(text); err == nil {
			refs[r.full] = true
		}
	}
	next := follow(s.current.Load().Commits, commitImages{Commit: commit, Refs: slices.Sorted(maps.Keys(refs))})
	if next == nil {
		return nil
	}
	if err := s.update(func(x *index) { x.Commits = follow(x.Commits, next[0]) }); err != nil {
		return fmt.Errorf("remember the images of commit %s: %w", commit, err)
	}
	return nil
}

// follow puts a newer commit in front. It is nil where nothing changes.
func follow(old []commitImages, c commitImages) []commitImages {
	if len(old) == 0 {
		return []commitImages{c}
	}
	same := slices.Equal(old[0].Refs, c.Refs)
	switch {
	case same && old[0].Commit == c.Commit:
		return nil
	case same || old[0].Commit == c.Commit:
		return append([]commitImages{c}, old[1:]...)
	}
	out := append([]commitImages{c}, old...)
	return out[:min(len(out), keptCommits)]
}

// pinned says, by ID, why images stay whether they are used or not.
func (x *index) pinned() map[string][]string {
	out := map[string][]string{}
	for n, c := range x.Commits {
		why := "adopted commit " + shortCommit(c.Commit)
		if n > 0 {
			why = "previous commit " + shortCommit(c.Commit)
		}
		for _, full := range c.Refs {
			r, err := parseRef(full)
			if err != nil {
				continue
			}
			if img, ok := x.lookup(r); ok && !slices.Contains(out[img.ID], why) {
				out[img.ID] = append(out[img.ID], why)
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(x.Archives)) {
		for _, t := range x.Archives[file].Names {
			if why := "archive " + file; !slices.Contains(out[t.ID], why) {
				out[t.ID] = append(out[t.ID], why)
			}
		}
	}
	return out
}

func shortCommit(hash string) string { return hash[:min(8, len(hash))] }
