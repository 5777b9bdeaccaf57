package sync

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	copyBatch     = 2000 // objects in memory at once
	maxAlternates = 16
)

// objectReader reads the objects of a local repository, also those that it borrows from others
// (objects/info/alternates). go-git's own way opens a borrowed index anew for every object.
type objectReader struct {
	storer.EncodedObjectStorer // the repository's own objects
	borrowed                   []*filesystem.Storage
}

func newObjectReader(common string, own *filesystem.Storage) *objectReader {
	r := &objectReader{EncodedObjectStorer: own}
	for _, dir := range alternates(filepath.Join(common, "objects")) {
		// go-git wants the folder above "objects"; git allows any name, but makes only this one.
		if filepath.Base(dir) == "objects" {
			r.borrowed = append(r.borrowed, filesystem.NewStorageWithOptions(osfs.New(filepath.Dir(dir)),
				cache.NewObjectLRU(objectCache), filesystem.Options{MaxOpenDescriptors: 16}))
		}
	}
	return r
}

// alternates lists the object folders that one borrows from, and those that they borrow from.
func alternates(objects string) []string {
	seen := map[string]bool{objects: true}
	var all []string
	for queue := []string{objects}; len(queue) > 0 && len(all) < maxAlternates; queue = queue[1:] {
		f, err := os.Open(filepath.Join(queue[0], "info", "alternates"))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			dir := lines.Text()
			if dir == "" || strings.HasPrefix(dir, "#") {
				continue
			}
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(queue[0], dir)
			}
			if dir = filepath.Clean(dir); !seen[dir] {
				seen[dir] = true
				all, queue = append(all, dir), append(queue, dir)
			}
		}
		f.Close()
	}
	return all
}

func (r *objectReader) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	o, err := r.EncodedObjectStorer.EncodedObject(t, h)
	for i := 0; err != nil && i < len(r.borrowed); i++ {
		o, err = r.borrowed[i].EncodedObject(t, h)
	}
	return o, err
}

// Close closes what was borrowed.
func (r *objectReader) Close() {
	for _, b := range r.borrowed {
		_ = b.Close()
	}
}

// copyCommit brings a commit with its files, and the bare commits of its history, into the mirror.
// A tree is written with or after everything below it and a commit after its own tree, so what is
// in the mirror is complete there, whenever a crash comes; only trees of commits that were never
// delivered are left out.
func copyCommit(ctx context.Context, from *objectReader, db *objects, tip *object.Commit) error {
	c := &copier{ctx: ctx, from: from, db: db, seen: map[plumbing.Hash]bool{}}
	if err := c.tree(tip.TreeHash); err != nil {
		return err
	}
	commits, err := c.history(tip)
	if err != nil {
		return err
	}
	if len(c.batch)+len(commits) <= copyBatch {
		c.batch = append(c.batch, commits...)
		return c.flush()
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.batch = commits
	return c.flush()
}

type copier struct {
	ctx   context.Context
	from  *objectReader
	db    *objects
	seen  map[plumbing.Hash]bool
	batch []plumbing.Hash
}

// tree adds what is missing below h, children first.
func (c *copier) tree(h plumbing.Hash) error {
	if c.seen[h] || c.db.has(h) {
		return nil
	}
	c.seen[h] = true
	t, err := object.GetTree(c.from, h)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", h, err)
	}
	for _, e := range t.Entries {
		switch {
		case e.Mode == filemode.Submodule || c.seen[e.Hash]:
		case e.Mode == filemode.Dir:
			err = c.tree(e.Hash)
		case !c.db.has(e.Hash):
			err = c.add(e.Hash)
		}
		if err != nil {
			return err
		}
	}
	return c.add(h)
}

func (c *copier) add(h plumbing.Hash) error {
	c.seen[h] = true
	if c.batch = append(c.batch, h); len(c.batch) < copyBatch {
		return nil
	}
	return c.flush()
}

// history lists the commits that the mirror does not have. They come in one pack, so that a commit
// in the mirror always has its history there.
func (c *copier) history(tip *object.Commit) ([]plumbing.Hash, error) {
	var missing []plumbing.Hash
	for queue := []plumbing.Hash{tip.Hash}; len(queue) > 0; queue = queue[1:] {
		h := queue[0]
		if c.seen[h] || c.db.has(h) {
			continue
		}
		c.seen[h] = true
		commit, err := object.GetCommit(c.from, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) && h != tip.Hash {
			continue // the repository is shallow here
		}
		if err != nil {
			return nil, fmt.Errorf("read commit %s: %w", h, err)
		}
		missing = append(missing, h)
		queue = append(queue, commit.ParentHashes...)
	}
	return missing, nil
}

func (c *copier) flush() error {
	if len(c.batch) == 0 {
		return nil
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	err := c.db.addPack(false, func(w io.Writer) error {
		_, err := packfile.NewEncoder(w, c.from, false).Encode(c.batch, 0)
		return err
	})
	if err != nil {
		return err
	}
	for _, h := range c.batch {
		if !c.db.has(h) {
			return fmt.Errorf("object %s is damaged in the repository", h)
		}
	}
	c.batch = c.batch[:0]
	return nil
}
