package sync

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxChanged is how many files and folders a commit of a signer with a scope may change.
const maxChanged = 100_000

// changes finds what one commit changed. It reads directories only, from where they are: the mirror of a
// local repository lacks those of commits that were never delivered.
type changes struct {
	ctx   context.Context
	db    *objects
	from  objectSource
	count int
	visit func(name string) error
}

// changed calls visit with the path, from the root of the repository, of every file that a commit itself
// adds, changes or removes:
//
//   - a commit with one parent: what differs from it; without a parent: everything;
//   - a merge of two with one merge base: what differs from what both sides give without a conflict,
//     which is the side that changed it, and either where they agree. So a merge may bring what others
//     wrote, but not take it back;
//   - any other merge: what differs from at least one parent.
//
// It ends at the first error of visit.
func changed(ctx context.Context, db *objects, from objectSource, commit *object.Commit, visit func(name string) error) error {
	c := &changes{ctx: ctx, db: db, from: from, visit: visit}
	var parents []plumbing.Hash
	for _, h := range commit.ParentHashes {
		p, err := db.commit(h)
		if err != nil {
			return fmt.Errorf("read parent %s: %w", h, err)
		}
		parents = append(parents, p.TreeHash)
	}
	switch len(parents) {
	case 0:
		return c.folder(".", versions{result: folderEntry(commit.TreeHash)}, 0)
	case 2:
		bases, err := db.mergeBases(ctx, commit.ParentHashes[0], commit.ParentHashes[1])
		if err != nil {
			return err
		}
		if len(bases) > 1 {
			break
		}
		v := versions{a: folderEntry(parents[0]), b: folderEntry(parents[1]), result: folderEntry(commit.TreeHash)}
		if len(bases) == 1 {
			base, err := db.commit(bases[0])
			if err != nil {
				return fmt.Errorf("read commit %s: %w", bases[0], err)
			}
			v.base = folderEntry(base.TreeHash)
		}
		return c.folder(".", v, 0)
	}
	for _, p := range parents {
		old := folderEntry(p)
		if err := c.folder(".", versions{old, old, old, folderEntry(commit.TreeHash)}, 0); err != nil {
			return err
		}
	}
	return nil
}

func folderEntry(h plumbing.Hash) entry { return entry{mode: filemode.Dir, hash: h} }

// versions are what stands at one path before, on two sides and after. Zero where there is nothing.
type versions struct{ base, a, b, result entry }

// merged is what must stand there when nobody changed anything, and whether there is such a thing.
func (v versions) merged() (entry, bool) {
	switch {
	case v.a == v.b, v.b == v.base:
		return v.a, true
	case v.a == v.base:
		return v.b, true
	}
	return entry{}, false
}

// each gives all versions to f.
func (v versions) each(f func(entry) entry) versions {
	return versions{f(v.base), f(v.a), f(v.b), f(v.result)}
}

// folder compares versions of a folder; entries that are no folders count as none.
func (c *changes) folder(name string, v versions, depth int) error {
	if want, ok := v.merged(); ok && v.result == want {
		return nil
	}
	if depth > maxDepth {
		return errTooDeep
	}
	if err := c.more(); err != nil {
		return err
	}
	var trees [4]*tree
	var names []string
	for i, e := range []entry{v.base, v.a, v.b, v.result} {
		trees[i] = &tree{}
		if e.mode == filemode.Dir {
			t, err := c.read(e.hash)
			if err != nil {
				return fmt.Errorf("directory %s: %w", e.hash, err)
			}
			trees[i] = t
		}
		for _, e := range trees[i].entries {
			names = append(names, e.name)
		}
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		at := func(i int) entry {
			e, _ := trees[i].find(n)
			e.name = ""
			return e
		}
		if err := c.entry(path.Join(name, n), versions{at(0), at(1), at(2), at(3)}, depth); err != nil {
			return err
		}
	}
	return nil
}

// entry compares versions of a file and of a folder of one name apart.
func (c *changes) entry(name string, v versions, depth int) error {
	files := v.each(func(e entry) entry {
		if e.mode == filemode.Dir {
			return entry{}
		}
		return e
	})
	if want, ok := files.merged(); !ok || files.result != want {
		if err := errors.Join(c.more(), c.visit(name)); err != nil {
			return err
		}
	}
	return c.folder(name, v.each(func(e entry) entry {
		if e.mode != filemode.Dir {
			return entry{}
		}
		return e
	}), depth+1)
}

// more counts what differs.
func (c *changes) more() error {
	if c.count++; c.count > maxChanged {
		return problemf(TooLarge, "a commit of a signer who is trusted for some paths changes more than %d files", maxChanged)
	}
	return c.ctx.Err()
}

func (c *changes) read(h plumbing.Hash) (*tree, error) {
	if c.db.has(h) {
		return c.db.tree(h)
	}
	o, err := c.from.EncodedObject(plumbing.TreeObject, h)
	if err != nil {
		return nil, err
	}
	return decodeTree(o)
}
