package sync

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxPacks is how many packs may lie in the mirror before some are put together. Every commit
// brings one.
const maxPacks = 16

// consolidate puts the small packs together when there are too many. No object is ever dropped.
// The new pack is on the disk before the first old one is removed, so a crash in between leaves
// some objects twice and none missing; who reads meanwhile finds every object in one or the other.
func (db *objects) consolidate() error {
	db.mu.Lock()
	old := tooSmall(db.packs)
	db.mu.Unlock()
	if len(old) == 0 {
		return nil
	}
	list, err := contents(old)
	if err != nil {
		return fmt.Errorf("list packs: %w", err)
	}
	whole, err := db.addPack(func(w io.Writer) error { return writePack(w, db, list) })
	if err != nil {
		return fmt.Errorf("consolidate packs: %w", err)
	}
	if err := db.settle(); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, p := range old {
		if p.name == whole {
			continue // it held all that the others did
		}
		db.packs = slices.DeleteFunc(db.packs, func(q *pack) bool { return q == p })
		p.close()
		// The pack goes first: an index that a crash leaves alone is removed at the next start.
		for _, ext := range []string{".pack", ".idx"} {
			if err := os.Remove(db.packFile(p.name, ext)); err != nil {
				return fmt.Errorf("remove old pack: %w", err)
			}
		}
	}
	return nil
}

// tooSmall picks the packs to put together: none up to maxPacks, else the smaller ones from where a
// pack is not twice as large as all that are smaller, so that a large pack is seldom written again.
func tooSmall(packs []*pack) []*pack {
	if len(packs) <= maxPacks {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(packs), func(a, b *pack) int {
		return cmp.Or(cmp.Compare(a.size, b.size), slices.Compare(a.name[:], b.name[:]))
	})
	take, sum := maxPacks/2, int64(0)
	for i, p := range sorted {
		if p.size < 2*sum {
			take = max(take, i+1)
		}
		sum += p.size
	}
	return sorted[:take]
}

// contents lists the objects of packs, each once, sorted.
func contents(packs []*pack) ([]plumbing.Hash, error) {
	var list []plumbing.Hash
	for _, p := range packs {
		entries, err := p.idx.Entries()
		if err != nil {
			return nil, err
		}
		for {
			e, err := entries.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
			list = append(list, e.Hash)
		}
	}
	plumbing.HashesSort(list)
	return slices.Compact(list), nil
}
