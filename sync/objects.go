package sync

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	objectCache     = 4 * cache.MiByte // objects kept inflated, mostly bases of deltas
	treeCacheBudget = 50_000           // directory entries kept parsed
)

// objects is the mirror's object database: packs in a bare repository, no loose objects. go-git's
// readers are not safe for concurrent use, so every access holds mu; a pack that is being
// downloaded takes mu only when it is complete.
type objects struct {
	dir     string
	maxFile int64

	mu        sync.Mutex
	packs     []*pack // oldest first
	unsettled []plumbing.Hash
	cache     *cache.ObjectLRU
	trees     map[plumbing.Hash]*tree
	entries   int // in trees
	linked    map[plumbing.Hash]links
	beside    sizedSource // what is read where it lies, in no pack; nil for a mirror
}

// sizedSource also tells the length of an object that is not read for it.
type sizedSource interface {
	objectSource
	size(h plumbing.Hash) (int64, error)
}

// openObjects opens the bare repository in dir, making it where there is none, and removes what a
// crash left half written.
func openObjects(dir string, maxFile int64) (*objects, error) {
	for _, d := range []string{filepath.Join("objects", "pack"), "refs"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("make mirror: %w", err)
		}
	}
	for name, text := range map[string]string{
		"config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n",
		"HEAD":   "ref: refs/heads/main\n",
	} {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			return nil, fmt.Errorf("make mirror: %w", err)
		}
	}
	db := &objects{dir: dir, maxFile: maxFile}
	db.forget()
	if err := db.sweep(); err != nil {
		return nil, fmt.Errorf("clean mirror: %w", err)
	}
	return db, nil
}

// forget drops what is only in memory. The caller holds mu or is alone.
func (db *objects) forget() {
	for _, p := range db.packs {
		p.close()
	}
	db.packs = nil
	db.cache = cache.NewObjectLRU(objectCache)
	db.trees, db.entries = map[plumbing.Hash]*tree{}, 0
	db.linked = map[plumbing.Hash]links{}
}

// Close releases the files; nothing can be read afterwards.
func (db *objects) Close() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.forget()
}

// find is the pack that holds an object, nil where none does. The caller holds mu.
func (db *objects) find(h plumbing.Hash) *pack {
	for i := len(db.packs) - 1; i >= 0; i-- {
		if ok, err := db.packs[i].idx.Contains(h); ok && err == nil {
			return db.packs[i]
		}
	}
	return nil
}

// get reads an object whole. The caller holds mu.
func (db *objects) get(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	p := db.find(h)
	switch {
	case p == nil && db.beside != nil:
		return db.beside.EncodedObject(t, h)
	case p == nil:
		return nil, plumbing.ErrObjectNotFound
	}
	o, err := p.file.Get(h)
	if err != nil {
		return nil, err
	}
	if t != plumbing.AnyObject && o.Type() != t {
		return nil, fmt.Errorf("object %s is a %s, not a %s", h, o.Type(), t)
	}
	return o, nil
}

// EncodedObject reads any object whole.
func (db *objects) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.get(t, h)
}

// has tells whether an object is in the mirror.
func (db *objects) has(h plumbing.Hash) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.find(h) != nil
}

// commit reads a commit.
func (db *objects) commit(h plumbing.Hash) (*object.Commit, error) {
	o, err := db.EncodedObject(plumbing.CommitObject, h)
	if err != nil {
		return nil, err
	}
	return object.DecodeCommit(nil, o)
}

// blob reads a whole file, refusing one larger than maxFile before reading it.
func (db *objects) blob(h plumbing.Hash) ([]byte, error) {
	size, err := db.blobSize(h)
	if err != nil {
		return nil, err
	}
	if size > db.maxFile {
		return nil, fmt.Errorf("%d bytes are more than the %d that may be read", size, db.maxFile)
	}
	o, err := db.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return nil, err
	}
	return bytesOf(o)
}

// bytesOf is an object whole.
func bytesOf(o plumbing.EncodedObject) ([]byte, error) {
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, o.Size())
	_, err = io.ReadFull(r, data)
	return data, err
}

// blobSize is the length of a file in bytes.
func (db *objects) blobSize(h plumbing.Hash) (int64, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if o, ok := db.cache.Get(h); ok {
		return o.Size(), nil
	}
	p := db.find(h)
	switch {
	case p == nil && db.beside != nil:
		return db.beside.size(h)
	case p == nil:
		return 0, plumbing.ErrObjectNotFound
	}
	offset, err := p.idx.FindOffset(h)
	if err != nil {
		return 0, err
	}
	return p.file.GetSizeByOffset(offset)
}

// tree reads a directory. The result is shared and must not be modified.
func (db *objects) tree(h plumbing.Hash) (*tree, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if t, ok := db.trees[h]; ok {
		return t, nil
	}
	o, err := db.get(plumbing.TreeObject, h)
	if err != nil {
		return nil, err
	}
	t, err := decodeTree(o)
	if err != nil {
		return nil, err
	}
	if db.entries += len(t.entries); db.entries > treeCacheBudget {
		db.trees, db.entries = map[plumbing.Hash]*tree{}, len(t.entries)
	}
	db.trees[h] = t
	return t, nil
}
