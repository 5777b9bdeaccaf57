package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	keepFolder = "refs/writ" // one reference: the delivered commit, named after its source
	maxHaves   = 32          // reaches about 130 commits back
)

// key names address and reference, so that a changed configuration does not deliver an old
// repository's commit at start.
func (m *Mirror) key() string {
	sum := sha256.Sum256([]byte(m.src.String() + "\n" + m.cfg.Ref))
	return hex.EncodeToString(sum[:8])
}

// delivered is the remembered commit and whether it came from the source that key names. Zero
// where there is none.
func (db *objects) delivered(key string) (h plumbing.Hash, same bool, err error) {
	files, err := filepath.Glob(filepath.Join(db.dir, keepFolder, "*"))
	if err != nil {
		return h, false, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return h, false, fmt.Errorf("read mirror: %w", err)
		}
		hash := strings.TrimSpace(string(text))
		if !plumbing.IsHash(hash) {
			continue // half written by a crash, or not ours
		}
		h, same = plumbing.NewHash(hash), filepath.Base(f) == key
		if same {
			break
		}
	}
	return h, same, nil
}

// remember makes a commit the one to deliver at the next start. Its objects are on disk before its
// name is.
func (db *objects) remember(key string, h plumbing.Hash) error {
	folder := filepath.Join(db.dir, keepFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("remember commit: %w", err)
	}
	if err := writeFile(filepath.Join(folder, key), h.String()+"\n"); err != nil {
		return fmt.Errorf("remember commit: %w", err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("remember commit: %w", err)
	}
	for _, f := range files {
		if f.Name() != key {
			if err := os.Remove(filepath.Join(folder, f.Name())); err != nil {
				return fmt.Errorf("remember commit: %w", err)
			}
		}
	}
	return nil
}

// wipe empties a damaged mirror but for the name of the delivered commit.
func (db *objects) wipe() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	pack := filepath.Join(db.dir, "objects", "pack")
	if err := os.RemoveAll(filepath.Join(db.dir, "objects")); err != nil {
		return fmt.Errorf("empty mirror: %w", err)
	}
	if err := os.MkdirAll(pack, 0o700); err != nil {
		return fmt.Errorf("empty mirror: %w", err)
	}
	db.forget()
	return nil
}

// treeOf is the root tree of a commit, zero where the mirror does not have it.
func (db *objects) treeOf(commit plumbing.Hash) plumbing.Hash {
	if c, err := db.commit(commit); err == nil && db.has(c.TreeHash) {
		return c.TreeHash
	}
	return plumbing.ZeroHash
}

// descends tells whether young is old or has it in its history, as far as the mirror knows it.
func (db *objects) descends(ctx context.Context, young, old plumbing.Hash) (bool, error) {
	if young == old {
		return true, nil
	}
	if _, err := db.commit(young); err != nil {
		return false, fmt.Errorf("read commit %s: %w", young, err)
	}
	if !db.has(old) {
		return false, nil
	}
	seen := map[plumbing.Hash]bool{young: true}
	for queue := []plumbing.Hash{young}; len(queue) > 0; queue = queue[1:] {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		c, err := db.commit(queue[0])
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			continue // the end of a shallow history
		}
		if err != nil {
			return false, fmt.Errorf("read commit %s: %w", queue[0], err)
		}
		for _, p := range c.ParentHashes {
			if p == old {
				return true, nil
			}
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return false, nil
}

// recent is a commit and its first parents at growing distances: enough for a server to find where
// a rewritten branch left the known history.
func (db *objects) recent(tip plumbing.Hash) []plumbing.Hash {
	var haves []plumbing.Hash
	h := tip
	for step, next := 0, 0; !h.IsZero() && len(haves) < maxHaves; step++ {
		c, err := db.commit(h)
		if err != nil {
			break
		}
		if step == next {
			haves = append(haves, h)
			next += 1 + step/8
		}
		h = plumbing.ZeroHash
		if len(c.ParentHashes) > 0 {
			h = c.ParentHashes[0]
		}
	}
	return haves
}

// writeFile replaces a small file as a whole.
func writeFile(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// lockDir keeps a second mirror out of the folder as long as the file is open.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock mirror: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock mirror %s: another process uses it", dir)
	}
	return f, nil
}
