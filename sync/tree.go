package sync

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// tree is a parsed directory, sorted by name.
type tree struct{ entries []entry }

type entry struct {
	name string
	mode filemode.FileMode
	hash plumbing.Hash
}

// newTree sorts the entries as fs.ReadDirFS wants them and refuses a directory that git would not
// have written: such a commit was made to confuse its readers.
func newTree(raw []object.TreeEntry) (*tree, error) {
	t := &tree{entries: make([]entry, len(raw))}
	for i, e := range raw {
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00") {
			return nil, fmt.Errorf("directory has an entry named %q", e.Name)
		}
		t.entries[i] = entry{name: e.Name, mode: e.Mode, hash: e.Hash}
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	for i := 1; i < len(t.entries); i++ {
		if t.entries[i].name == t.entries[i-1].name {
			return nil, fmt.Errorf("directory has two entries named %q", t.entries[i].name)
		}
	}
	return t, nil
}

// decodeTree reads a directory from an object.
func decodeTree(o plumbing.EncodedObject) (*tree, error) {
	raw, err := object.DecodeTree(nil, o)
	if err != nil {
		return nil, err
	}
	return newTree(raw.Entries)
}

func (t *tree) find(name string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(t.entries, name, func(e entry, n string) int { return cmp.Compare(e.name, n) })
	if !ok {
		return entry{}, false
	}
	return t.entries[i], true
}

// peel follows annotated tags, a bounded number of times, down to a commit.
func peel(from objectSource, h plumbing.Hash) (*object.Commit, error) {
	for range 5 {
		o, err := from.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return nil, err
		}
		switch o.Type() {
		case plumbing.CommitObject:
			return object.DecodeCommit(nil, o)
		case plumbing.TagObject:
			tag, err := object.DecodeTag(nil, o)
			if err != nil {
				return nil, err
			}
			h = tag.Target
		default:
			return nil, problemf(RefMissing, "%s is a %s, not a commit", h, o.Type())
		}
	}
	return nil, problemf(RefMissing, "%s is a tag of a tag of a tag, too deep to follow", h)
}
