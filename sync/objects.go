package sync

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

const (
	objectCache     = 4 * cache.MiByte // objects kept inflated, mostly bases of deltas
	treeCacheBudget = 50_000           // directory entries kept parsed
)

// objects is the mirror's object database: packs in a bare repository. go-git's storage is not safe
// for concurrent use, so every access holds mu; a pack that is being downloaded takes mu only when
// it is complete.
type objects struct {
	dir     string
	maxFile int64

	mu      sync.Mutex
	st      *filesystem.Storage
	trees   map[plumbing.Hash]*tree
	entries int // in trees
}

// openObjects opens the bare repository in dir, making it where there is none, and removes what a
// crash left half written.
func openObjects(dir string, maxFile int64) (*objects, error) {
	if err := os.MkdirAll(filepath.Join(dir, "objects", "pack"), 0o700); err != nil {
		return nil, fmt.Errorf("make mirror: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "refs"), 0o700); err != nil {
		return nil, fmt.Errorf("make mirror: %w", err)
	}
	if err := writeFile(filepath.Join(dir, "config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n"); err != nil {
		return nil, fmt.Errorf("make mirror: %w", err)
	}
	if err := writeFile(filepath.Join(dir, "HEAD"), "ref: refs/heads/main\n"); err != nil {
		return nil, fmt.Errorf("make mirror: %w", err)
	}
	db := &objects{dir: dir, maxFile: maxFile}
	if err := db.sweep(); err != nil {
		return nil, fmt.Errorf("clean mirror: %w", err)
	}
	db.reopen()
	return db, nil
}

// sweep removes half-written packs: temporary files, and an index without its pack, which the next
// download of the same pack would take for complete.
func (db *objects) sweep() error {
	folder := filepath.Join(db.dir, "objects", "pack")
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Join(folder, f.Name())
		stale := strings.HasPrefix(f.Name(), "tmp_")
		if base, ok := strings.CutSuffix(name, ".idx"); ok {
			_, err := os.Stat(base + ".pack")
			stale = errors.Is(err, os.ErrNotExist)
		}
		if stale {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// reopen forgets everything read so far. The caller holds mu or is alone.
func (db *objects) reopen() {
	if db.st != nil {
		_ = db.st.Close()
	}
	db.st = filesystem.NewStorageWithOptions(osfs.New(db.dir), cache.NewObjectLRU(objectCache),
		filesystem.Options{KeepDescriptors: true})
	db.trees, db.entries = map[plumbing.Hash]*tree{}, 0
}

// Close releases the files. Reading a commit afterwards opens them again.
func (db *objects) Close() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.reopen()
}

// has tells whether an object is in the mirror.
func (db *objects) has(h plumbing.Hash) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.st.HasEncodedObject(h) == nil
}

// commit reads a commit.
func (db *objects) commit(h plumbing.Hash) (*object.Commit, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return object.GetCommit(db.st, h)
}

// peel follows annotated tags down to a commit.
func (db *objects) peel(h plumbing.Hash) (*object.Commit, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return peel(db.st, h)
}

// blob reads a whole file, refusing one larger than maxFile before reading it.
func (db *objects) blob(h plumbing.Hash) ([]byte, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	size, err := db.st.EncodedObjectSize(h)
	if err != nil {
		return nil, err
	}
	if size > db.maxFile {
		return nil, fmt.Errorf("%d bytes are more than the %d that may be read", size, db.maxFile)
	}
	o, err := db.st.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return nil, err
	}
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
	return db.st.EncodedObjectSize(h)
}

// tree reads a directory. The result is shared and must not be modified.
func (db *objects) tree(h plumbing.Hash) (*tree, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if t, ok := db.trees[h]; ok {
		return t, nil
	}
	raw, err := object.GetTree(db.st, h)
	if err != nil {
		return nil, err
	}
	t, err := newTree(raw.Entries)
	if err != nil {
		return nil, err
	}
	if db.entries += len(t.entries); db.entries > treeCacheBudget {
		db.trees, db.entries = map[plumbing.Hash]*tree{}, len(t.entries)
	}
	db.trees[h] = t
	return t, nil
}

// addPack stores what fill writes as a new pack. When it returns nil the pack is complete, indexed,
// readable and, if durable, safe from a loss of power; on an error nothing half-written is left.
func (db *objects) addPack(durable bool, fill func(io.Writer) error) error {
	db.mu.Lock()
	w, err := db.st.PackfileWriter()
	db.mu.Unlock()
	if err != nil {
		return fmt.Errorf("begin pack: %w", err)
	}
	pack := w.(*dotgit.PackWriter)
	notify, name := pack.Notify, plumbing.ZeroHash
	pack.Notify = func(h plumbing.Hash, idx *idxfile.Writer) {
		db.mu.Lock()
		defer db.mu.Unlock()
		notify(h, idx)
		name = h
	}
	err = fill(w)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil && durable {
		err = db.syncPack(name)
	}
	if err != nil {
		db.mu.Lock()
		defer db.mu.Unlock()
		db.reopen()
		return errors.Join(err, db.sweep())
	}
	return nil
}

// syncPack waits until a pack is on the disk.
func (db *objects) syncPack(name plumbing.Hash) error {
	base := filepath.Join(db.dir, "objects", "pack", "pack-"+name.String())
	for _, file := range []string{base + ".pack", base + ".idx", filepath.Dir(base)} {
		if err := syncFile(file); err != nil {
			return fmt.Errorf("write pack: %w", err)
		}
	}
	return nil
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
