package sync

import (
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// maxDepth is how deep folders may lie in one another. A path of git is at most 4,096 bytes long.
const maxDepth = 1000

var errTooDeep = problemf(TooLarge, "the commit's folders lie more than %d deep in one another", maxDepth)

// complete checks that a tree and everything below it is in the mirror. What stands at the same
// place in like, a tree already known to be complete, is not looked at again; like may be zero.
func (db *objects) complete(root, like plumbing.Hash) error {
	return (&completion{db, map[plumbing.Hash]bool{}}).folder(root, like, 0)
}

// completion looks at each folder once: a few folders that hold one another many times make a tree
// that has no end.
type completion struct {
	db   *objects
	seen map[plumbing.Hash]bool
}

func (c *completion) folder(root, like plumbing.Hash, depth int) error {
	switch {
	case root == like || c.seen[root]:
		return nil
	case depth > maxDepth:
		return errTooDeep
	}
	c.seen[root] = true
	t, err := c.db.tree(root)
	if err != nil {
		return fmt.Errorf("directory %s: %w", root, err)
	}
	old := &tree{}
	if !like.IsZero() {
		if old, err = c.db.tree(like); err != nil {
			return fmt.Errorf("directory %s: %w", like, err)
		}
	}
	for _, e := range t.entries {
		before, _ := old.find(e.name)
		switch {
		case e.hash == before.hash || e.mode == filemode.Submodule:
		case e.mode != filemode.Dir:
			if !c.db.has(e.hash) {
				return fmt.Errorf("file %s: %w", e.hash, plumbing.ErrObjectNotFound)
			}
		default:
			if before.mode != filemode.Dir {
				before.hash = plumbing.ZeroHash
			}
			if err := c.folder(e.hash, before.hash, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
