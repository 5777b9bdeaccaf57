package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

const (
	maxLinks      = 10_000  // links that the identity of a folder looks at one by one
	linkMemoLimit = 100_000 // folders of which is known whether links are below
)

// links are the symbolic links below a folder.
type links struct {
	paths []string // from the folder
	many  bool     // more than maxLinks; paths is of no use
}

// linksBelow finds the symbolic links below a folder. A folder is looked at once for all commits.
func (db *objects) linksBelow(h plumbing.Hash) (links, error) {
	db.mu.Lock()
	known, ok := db.linked[h]
	db.mu.Unlock()
	if ok {
		return known, nil
	}
	t, err := db.tree(h)
	if err != nil {
		return links{}, err
	}
	var all links
	for _, e := range t.entries {
		switch e.mode {
		case filemode.Symlink:
			all.paths = append(all.paths, e.name)
		case filemode.Dir:
			below, err := db.linksBelow(e.hash)
			if err != nil {
				return links{}, err
			}
			all.many = all.many || below.many
			for _, p := range below.paths {
				all.paths = append(all.paths, e.name+"/"+p)
			}
		}
		if all.many = all.many || len(all.paths) > maxLinks; all.many {
			all.paths = nil
			break
		}
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.linked) >= linkMemoLimit {
		clear(db.linked)
	}
	db.linked[h] = all
	return all, nil
}

// identify is what ContentID says of a folder: its git hash, unless links lie below. What those lead to
// is outside of the folder's hash, so it is added, and what links below that lead to.
func (t *treeFS) identify(at place) (string, error) {
	below, err := t.db.linksBelow(at.hash)
	if err != nil || !below.many && len(below.paths) == 0 {
		return at.hash.String(), err
	}
	t.mu.Lock()
	known, ok := t.ids[at.path]
	t.mu.Unlock()
	if ok {
		return known, nil
	}
	id, err := t.reckon(at)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ids[at.path] = id
	return id, nil
}

func (t *treeFS) reckon(at place) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %s\n", at.path, at.hash)
	count, seen := 0, map[string]bool{at.path: true}
	for queue := []place{at}; len(queue) > 0; queue = queue[1:] {
		here := queue[0]
		below, err := t.db.linksBelow(here.hash)
		if err != nil {
			return "", err
		}
		if count += len(below.paths); below.many || count > maxLinks {
			// Any change of the repository may be one of the folder.
			fmt.Fprintf(sum, "%s\n", t.root)
			break
		}
		for _, p := range below.paths {
			from := path.Join(here.path, p)
			to, err := locate(t.db, t.root, ".", from, true)
			if err != nil {
				fmt.Fprintf(sum, "%q %q\n", from, err)
				continue
			}
			fmt.Fprintf(sum, "%q %q %s %s\n", from, to.path, to.mode, to.hash)
			if to.mode == filemode.Dir && !seen[to.path] {
				seen[to.path] = true
				queue = append(queue, to)
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:len(plumbing.ZeroHash)]), nil
}
