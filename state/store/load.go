package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/dgraph-io/ristretto/v2/z"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"writ/state"
)

// load reads the World at the head. What is there may be incomplete after a power cut, since Badger
// syncs nothing between checkpoints. Then it goes back to the checkpoint, or to nothing if there was
// none yet: the log has everything since.
func (r *records) load(cluster uuid.UUID, checkpoint *head) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.inspect()
	if err != nil && checkpoint != nil {
		return err // the checkpoint is in these tables
	}
	if err == nil {
		err = r.loadHead(cluster, checkpoint)
	}
	if err == nil {
		return nil
	}
	back := head{}
	if checkpoint != nil {
		back = *checkpoint
	}
	r.log.log.Warn("records are incomplete, going back to the last checkpoint", "err", err, "revision", back.revision.String())
	if again := r.forget(checkpoint == nil); again != nil {
		return errors.Join(err, again)
	}
	if again := r.open(); again != nil {
		return errors.Join(err, again)
	}
	if again := r.loadAt(cluster, back); again != nil {
		return fmt.Errorf("%w; at the last checkpoint: %w", err, again)
	}
	return nil
}

func (r *records) loadHead(cluster uuid.UUID, checkpoint *head) error {
	if err := r.open(); err != nil {
		return err
	}
	at, err := r.readHead()
	if err != nil {
		return err
	}
	if checkpoint != nil && at.index < checkpoint.index {
		return errors.New("read records: the head is older than the last checkpoint")
	}
	return r.loadAt(cluster, at)
}

// inspect checks every table, since Badger panics over a garbled one in a goroutine of its own. A
// table that is not in the manifest was never ended, and Badger removes it.
func (r *records) inspect() error {
	folder := filepath.Join(r.dir, worldDir)
	f, err := os.Open(filepath.Join(folder, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	defer f.Close()
	manifest, err := guarded(func() (badger.Manifest, error) {
		m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(folder))
		return m, err
	})
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	registry, err := guarded(func() (*badger.KeyRegistry, error) {
		return badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: folder, ReadOnly: true, EncryptionKey: r.key})
	})
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	indexes, err := ristretto.NewCache(&ristretto.Config[uint64, *fb.TableIndex]{NumCounters: 1 << 10, MaxCost: indexCache, BufferItems: 64})
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	defer indexes.Close()
	for id, t := range manifest.Tables {
		file := table.NewFilename(id, folder)
		if _, err := guarded(func() (any, error) {
			key, err := registry.DataKey(t.KeyID)
			if err != nil {
				return nil, err
			}
			if key == nil {
				return nil, errors.New("it is not encrypted")
			}
			return nil, inspectTable(file, table.Options{BlockSize: 4 << 10, ChkMode: options.OnTableRead, DataKey: key, IndexCache: indexes})
		}); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
	}
	return nil
}

func inspectTable(file string, how table.Options) error {
	m, err := z.OpenMmapFile(file, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	t, err := table.OpenTable(m, how)
	if err != nil {
		return err // OpenTable has closed m
	}
	return t.Close(-1)
}

// forget removes what Badger did not sync: its memtables, which hold nothing that a checkpoint needs,
// or without a checkpoint everything.
func (r *records) forget(everything bool) error {
	if err := r.close(); err != nil {
		r.log.log.Debug("closing incomplete records", "err", err)
	}
	pattern := "*.mem"
	if everything {
		pattern = "*"
	}
	files, err := filepath.Glob(filepath.Join(r.dir, worldDir, pattern))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("forget incomplete records: %w", err)
		}
	}
	return nil
}

func (r *records) readHead() (head, error) {
	var h head
	err := r.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte(keyHead))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil // a new store: an empty World before the first revision
		}
		if err != nil {
			return fmt.Errorf("read head: %w", err)
		}
		return item.Value(func(v []byte) (err error) { h, err = decodeHead(v); return err })
	})
	return h, err
}

// loadAt makes r the World at a head and removes everything beyond it.
func (r *records) loadAt(cluster uuid.UUID, at head) error {
	l := &loading{at: at, found: head{revision: at.revision, index: at.index}, batches: make(chan []version, 4)}
	if err := l.run(r.db); err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	if l.found != at {
		return fmt.Errorf("read records: found %d of %d (sum %x, not %x) at revision %s", l.found.count, at.count, l.found.sum, at.sum, at.revision)
	}
	if len(l.beyond) > 0 {
		if err := r.cut(at, l.beyond); err != nil {
			return err
		}
	}
	r.world = state.Load(cluster, at.revision, l.adoptions, func(yield func(*state.Record) bool) {
		for _, batch := range l.records {
			for _, record := range batch {
				if !yield(record) {
					return
				}
			}
		}
	})
	r.head, r.garbage = at, l.old
	return nil
}

// cut removes what lies beyond the head, durably: a later head must never come to stand above it.
func (r *records) cut(at head, beyond [][]byte) error {
	r.probe("cut")
	if err := remove(r.db, beyond); err != nil {
		return err
	}
	if at != (head{}) {
		if err := r.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(keyHead), at.encode()) }); err != nil {
			return fmt.Errorf("write head: %w", err)
		}
	}
	if err := r.close(); err != nil {
		return err
	}
	return r.open()
}

// version is one stored record, as bytes.
type version struct {
	key, value []byte
	place      int // of its batch among the results
}

// loading reads with one goroutine and decodes with all processors.
type loading struct {
	at      head
	found   head
	batches chan []version

	records   [][]*state.Record
	adoptions []state.Adoption
	old       waste
	beyond    [][]byte
}

// batchSize is how many versions are decoded at a time.
const batchSize = 512

func (l *loading) run(db *badger.DB) error {
	var g errgroup.Group
	results := make(chan decoded, 4)
	workers := runtime.GOMAXPROCS(0)
	g.Go(func() error {
		defer close(l.batches)
		_, err := guarded(func() (any, error) { return nil, db.View(l.read) })
		return err
	})
	var decoders errgroup.Group
	for range workers {
		decoders.Go(func() error { return decodeAll(l.batches, results) })
	}
	g.Go(func() error { defer close(results); return decoders.Wait() })
	for d := range results {
		for len(l.records) <= d.place {
			l.records = append(l.records, nil)
		}
		l.records[d.place] = d.records
	}
	return g.Wait()
}

type decoded struct {
	place   int
	records []*state.Record
}

func decodeAll(batches <-chan []version, results chan<- decoded) error {
	var decoder state.Decoder
	var failed error
	for batch := range batches {
		if failed != nil {
			continue // the reader must not wait for us
		}
		d := decoded{place: batch[0].place, records: make([]*state.Record, 0, len(batch))}
		for _, v := range batch {
			record, err := decodeVersion(&decoder, v)
			if err != nil {
				failed = err
				break
			}
			d.records = append(d.records, record)
		}
		results <- d
	}
	return failed
}

func decodeVersion(decoder *state.Decoder, v version) (*state.Record, error) {
	data, err := unseal(v.value)
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", v.key, err)
	}
	return decoder.Record(data)
}

// read walks all versions in the order of their keys: of each object the oldest first.
func (l *loading) read(txn *badger.Txn) error {
	if err := l.readAdoptions(txn); err != nil {
		return err
	}
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 256, Prefix: []byte{prefixRecord}})
	defer it.Close()
	var batch []version
	place := 0
	send := func(v version) {
		v.place = place
		if batch = append(batch, v); len(batch) == batchSize {
			l.batches <- batch
			batch = nil
			place++
		}
	}
	var best version // the newest so far of the object being read
	hides := false   // it has older ones
	take := func() {
		if best.key == nil {
			return
		}
		if len(best.value) == 0 && hides {
			l.old.markers = append(l.old.markers, best.key)
		} else if len(best.value) == 0 {
			l.old.versions = append(l.old.versions, best.key)
		} else {
			l.found.add(best.key)
			send(best)
		}
		best, hides = version{}, false
	}
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		key := item.KeyCopy(nil)
		if len(key) < 9 {
			return fmt.Errorf("key %q is too short", key)
		}
		if revisionOf(key) > l.at.revision {
			l.beyond = append(l.beyond, key)
			continue
		}
		if best.key != nil && bytes.Equal(best.key[:len(best.key)-8], key[:len(key)-8]) {
			l.old.versions = append(l.old.versions, best.key)
			best, hides = version{}, true
		} else {
			take()
		}
		value, err := item.ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("read %q: %w", key, err)
		}
		best = version{key: key, value: value}
	}
	take()
	if len(batch) > 0 {
		l.batches <- batch
	}
	return nil
}

func revisionOf(version []byte) state.Revision {
	return state.Revision(binary.BigEndian.Uint64(version[len(version)-8:]))
}

func (l *loading) readAdoptions(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixAdoption}})
	defer it.Close()
	var keys [][]byte
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if len(key) != 9 {
			return fmt.Errorf("key %q has a wrong length", key)
		}
		if revisionOf(key) > l.at.revision {
			l.beyond = append(l.beyond, key)
			continue
		}
		keys = append(keys, key)
	}
	if extra := len(keys) - state.HistoryLimit; extra > 0 {
		l.old.versions = append(l.old.versions, keys[:extra]...)
		keys = keys[extra:]
	}
	for _, key := range keys {
		item, err := txn.Get(key)
		if err != nil {
			return fmt.Errorf("read adoption: %w", err)
		}
		if err := item.Value(func(v []byte) error { return l.adoption(key, v) }); err != nil {
			return fmt.Errorf("read adoption of revision %s: %w", revisionOf(key), err)
		}
	}
	return nil
}

func (l *loading) adoption(key, value []byte) error {
	data, err := unseal(value)
	if err != nil {
		return err
	}
	a, err := state.DecodeAdoption(data)
	if err != nil {
		return err
	}
	l.found.add(key)
	l.adoptions = append(l.adoptions, a)
	return nil
}
