package sync

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const maxAlternates = 16

// objectReader reads the objects of a local repository, also those that it borrows from others
// (objects/info/alternates). go-git's own way opens a borrowed index anew for every object.
type objectReader struct {
	own      *filesystem.Storage
	borrowed []*filesystem.Storage
}

func newObjectReader(common string, own *filesystem.Storage) *objectReader {
	r := &objectReader{own: own}
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
	o, err := r.own.ObjectStorage.EncodedObject(t, h)
	for i := 0; err != nil && i < len(r.borrowed); i++ {
		o, err = r.borrowed[i].EncodedObject(t, h)
	}
	return o, err
}

// size is the length of an object, which is not read for it.
func (r *objectReader) size(h plumbing.Hash) (int64, error) {
	n, err := r.own.ObjectStorage.EncodedObjectSize(h)
	for i := 0; err != nil && i < len(r.borrowed); i++ {
		n, err = r.borrowed[i].EncodedObjectSize(h)
	}
	return n, err
}

// Close closes what was borrowed.
func (r *objectReader) Close() {
	for _, b := range r.borrowed {
		_ = b.Close()
	}
}

// modest refuses objects that are too large to be read.
type modest struct {
	from  *objectReader
	limit int64
}

func (m *modest) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	if size, err := m.from.size(h); err == nil && size > m.limit {
		return nil, problemf(TooLarge, "object %s is %d bytes large, at most %d are taken", h, size, m.limit)
	}
	return m.from.EncodedObject(t, h)
}

// copyCommit brings a commit with its files, and the bare commits of its history, into the mirror as
// one pack. Hence a tree in the mirror is complete and a commit there has its history; only trees of
// commits that were never delivered are left out.
func copyCommit(ctx context.Context, from *objectReader, db *objects, tip *object.Commit, limit int64) error {
	c := &copier{ctx: ctx, from: from, db: db, limit: limit, seen: map[plumbing.Hash]bool{}}
	if err := c.tree(tip.TreeHash, "."); err != nil {
		return err
	}
	if err := c.history(tip); err != nil {
		return err
	}
	if len(c.list) == 0 {
		return nil
	}
	if _, err := db.addPack(func(w io.Writer) error { return writePack(w, c, c.list) }); err != nil {
		return err
	}
	// The mirror names objects by what they hold. One that lied about its name is missing now.
	for _, h := range c.list {
		if !db.has(h) {
			return fmt.Errorf("object %s is damaged in the repository", h)
		}
	}
	return nil
}

// copier lists what is missing in the mirror.
type copier struct {
	ctx   context.Context
	from  *objectReader
	db    *objects
	limit int64 // bytes of an object
	seen  map[plumbing.Hash]bool
	list  []plumbing.Hash
}

// EncodedObject reads from the repository until ctx ends.
func (c *copier) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	return c.from.EncodedObject(t, h)
}

func (c *copier) add(h plumbing.Hash) {
	c.seen[h] = true
	c.list = append(c.list, h)
}

// fits refuses an object that is too large before it is read.
func (c *copier) fits(h plumbing.Hash, what string) error {
	size, err := c.from.size(h)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	if size > c.limit {
		return problemf(TooLarge, "%s is %d bytes large, at most %d are taken", what, size, c.limit)
	}
	return nil
}

// tree adds what is missing at and below h, the folder name.
func (c *copier) tree(h plumbing.Hash, name string) error {
	if c.seen[h] || c.db.has(h) {
		return nil
	}
	if strings.Count(name, "/") > maxDepth {
		return errTooDeep
	}
	if err := c.fits(h, "directory "+name); err != nil {
		return err
	}
	o, err := c.EncodedObject(plumbing.TreeObject, h)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", h, err)
	}
	t, err := object.DecodeTree(nil, o)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", h, err)
	}
	c.add(h)
	for _, e := range t.Entries {
		switch {
		case e.Mode == filemode.Submodule || c.seen[e.Hash]:
		case e.Mode == filemode.Dir:
			if err := c.tree(e.Hash, path.Join(name, e.Name)); err != nil {
				return err
			}
		case !c.db.has(e.Hash):
			if err := c.fits(e.Hash, path.Join(name, e.Name)); err != nil {
				return err
			}
			c.add(e.Hash)
		}
	}
	return nil
}

// history adds the commits that are missing.
func (c *copier) history(tip *object.Commit) error {
	for queue := []plumbing.Hash{tip.Hash}; len(queue) > 0; queue = queue[1:] {
		h := queue[0]
		if c.seen[h] || c.db.has(h) {
			continue
		}
		err := c.fits(h, "commit "+h.String())
		if errors.Is(err, plumbing.ErrObjectNotFound) && h != tip.Hash {
			continue // the repository is shallow here
		}
		if err != nil {
			return err
		}
		o, err := c.EncodedObject(plumbing.CommitObject, h)
		if err != nil {
			return fmt.Errorf("read commit %s: %w", h, err)
		}
		commit, err := object.DecodeCommit(nil, o)
		if err != nil {
			return fmt.Errorf("read commit %s: %w", h, err)
		}
		c.add(h)
		queue = append(queue, commit.ParentHashes...)
	}
	return nil
}
