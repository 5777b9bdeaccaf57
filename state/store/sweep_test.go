package store

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"writ/state"
)

// stored is what Badger holds of a store.
func stored(t *testing.T, r *records) map[string][]byte {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	err := r.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			all[string(it.Item().Key())] = value
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A power cut takes back any part of what a sweep removed: a memtable is lost and a later one is not.
func TestSweep_PartlyLost(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	defer closeStore(t, s)
	random := rand.New(rand.NewPCG(3, 4))
	swept, markers := 0, 0
	for range 3 {
		run(t, s, 20)
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
		before := stored(t, s.records)
		if err := s.checkpoint(); err != nil {
			t.Fatal(err)
		}
		after, want := stored(t, s.records), digest(t, s.World())
		for range 2 {
			lost := map[string][]byte{}
			for key, value := range before {
				if _, still := after[key]; still {
					continue
				}
				swept++
				if len(value) == 0 {
					markers++
				}
				if random.IntN(2) == 0 {
					lost[key] = value
				}
			}
			if got := digest(t, opened(t, imageOf(t, s), lost)); got != want {
				t.Fatalf("World %s, want %s", got, want)
			}
		}
	}
	if swept == 0 || markers == 0 {
		t.Errorf("%d versions were swept, %d of them markers; the test shows nothing", swept, markers)
	}
}

// opened is the World of the store in dir once Badger holds what is given, too.
func opened(t *testing.T, dir string, also map[string][]byte) *state.World {
	t.Helper()
	r := behind(t, dir)
	batch := r.db.NewWriteBatch()
	defer batch.Cancel()
	for key, value := range also {
		if err := batch.Set([]byte(key), value); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Flush(), r.close()); err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{Dir: dir})
	defer closeStore(t, s)
	return s.World()
}
