package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"writ/manifest"
	"writ/state"
)

// Keys in Badger. A version is one record as it was from one revision on: its key ends with the
// revision, so that writing never touches what the head still stands for.
const (
	prefixRecord   = 'r' // then state.Key, then the revision: crc32c and state.EncodeRecord; empty for "removed"
	prefixAdoption = 'a' // then the revision: crc32c and state.EncodeAdoption
	keyHead        = "head"
)

// head says which versions are the World: of each object the newest at or below the revision.
// count and sum are over exactly those, so that a World with anything lost is recognised.
type head struct {
	revision state.Revision
	index    uint64 // of the last entry of the log that is in it
	count    uint64
	sum      uint64
}

const headSize = 4*8 + 4

func (h head) encode() []byte {
	b := make([]byte, 0, headSize)
	for _, n := range []uint64{uint64(h.revision), h.index, h.count, h.sum} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return binary.BigEndian.AppendUint32(b, checksum(b))
}

func decodeHead(b []byte) (head, error) {
	if len(b) != headSize || checksum(b[:headSize-4]) != binary.BigEndian.Uint32(b[headSize-4:]) {
		return head{}, errors.New("the head is garbled")
	}
	n := func(i int) uint64 { return binary.BigEndian.Uint64(b[i*8:]) }
	return head{revision: state.Revision(n(0)), index: n(1), count: n(2), sum: n(3)}, nil
}

func (h *head) add(version []byte) { h.count++; h.sum += mark(version) }
func (h *head) drop(version []byte) {
	h.count--
	h.sum -= mark(version)
}

func mark(version []byte) uint64 {
	m := fnv.New64a()
	m.Write(version)
	return m.Sum64()
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func recordVersion(ref manifest.Ref, at state.Revision) []byte {
	key := append([]byte{prefixRecord}, state.Key(ref)...)
	return binary.BigEndian.AppendUint64(key, uint64(at))
}

func adoptionVersion(at state.Revision) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixAdoption}, uint64(at))
}

// records is the World on disk, in Badger. It is opened when something is to be written and closed
// when nothing more comes: a closed Badger costs no memory and no timers, and all of it is fsynced.
type records struct {
	dir      string
	log      quiet
	probe    func(string)
	fault    func(string) error
	memtable int64
	key      []byte

	mu      sync.Mutex
	db      *badger.DB   // nil while closed
	world   *state.World // what is on disk at head
	head    head
	written int64 // bytes since the last checkpoint

	garbage waste    // what head does not need and the last checkpoint may
	past    waste    // what the checkpoint in the making does not need either
	strays  [][]byte // versions of attempts to write that failed before the head moved
}

// waste is versions that a head does not need. A power cut may take back any part of their removal, so
// that a marker waits until all that it hides is durably gone: an old version would be the newest again.
type waste struct {
	versions [][]byte
	markers  [][]byte // "removed"; each may hide some of versions
}

func (w *waste) add(other waste) {
	w.versions = append(w.versions, other.versions...)
	w.markers = append(w.markers, other.markers...)
}

func (r *records) options() badger.Options {
	return badger.DefaultOptions(filepath.Join(r.dir, worldDir)).
		WithLogger(r.log).
		WithSyncWrites(false).
		WithMemTableSize(r.memtable).
		WithNumMemtables(2).
		WithValueLogFileSize(32 << 20).
		WithEncryptionKey(r.key).
		WithEncryptionKeyRotationDuration(unending).
		WithBlockCacheSize(blockCache). // Badger insists on both with encryption
		WithIndexCacheSize(indexCache).
		WithCompression(options.None).
		WithNumCompactors(2).
		WithNumLevelZeroTables(2).
		WithBaseTableSize(2 << 20).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithBypassLockGuard(true). // the store has its own
		WithVLogPercentile(0).
		WithValueThreshold(r.memtable / 8)
}

const (
	// blockCache is small: the records are read from end to end, once.
	blockCache = 1 << 20
	// indexCache has room for the indexes of all tables of 150,000 objects; decrypting one again for each
	// of its blocks would take for ever. It is used while Badger is open.
	indexCache = 16 << 20
	// unending: the data key below the key is made once. Its blocks have random IVs, so it does not wear
	// out, and a registry that is never written to again is never torn by a power cut.
	unending = 100 * 365 * 24 * time.Hour
)

// open makes Badger ready; r.mu is held.
func (r *records) open() error {
	if r.db != nil {
		return nil
	}
	if err := r.dataKey(); err != nil {
		return fmt.Errorf("open records: %w", err)
	}
	db, err := guarded(func() (*badger.DB, error) { return badger.Open(r.options()) })
	if err != nil {
		return fmt.Errorf("open records: %w", err)
	}
	r.db = db
	return nil
}

// dataKey makes the key below the key. Badger itself makes the first one when that of 1970 is too old,
// and until then writes in clear.
func (r *records) dataKey() error {
	folder := filepath.Join(r.dir, worldDir)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	registry, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: folder, EncryptionKey: r.key})
	if err != nil {
		return err
	}
	if _, err = registry.DataKey(1); err != nil {
		_, err = registry.LatestDataKey()
	}
	return errors.Join(err, registry.Close())
}

// close leaves everything that was written fsynced: Badger flushes its memtables to tables.
func (r *records) close() error {
	if r.db == nil {
		return nil
	}
	r.probe("close")
	err := r.db.Close()
	r.db = nil
	if err != nil {
		return fmt.Errorf("close records: %w", err)
	}
	return nil
}

// rest closes Badger until the next write, and gives the memory that the busy time took back to the
// system: the next one may be hours away.
func (r *records) rest() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db == nil {
		return nil
	}
	err := r.close()
	debug.FreeOSMemory()
	return err
}

// write moves the World on disk to w, in which the given objects may differ. Until the last, small
// transaction has moved the head, all that was written counts for nothing.
func (r *records) write(w *state.World, index uint64, refs map[manifest.Ref]struct{}) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writeLocked(w, index, refs)
}

func (r *records) writeLocked(w *state.World, index uint64, refs map[manifest.Ref]struct{}) error {
	if w == r.world && index == r.head.index {
		return nil
	}
	if err := r.open(); err != nil {
		return err
	}
	if err := r.clear(); err != nil {
		return err
	}
	t := &writing{records: r, txn: r.db.NewTransaction(true), head: r.head}
	defer t.discard()
	if err := t.move(w, index, refs); err != nil {
		r.strays = t.written
		return err
	}
	r.world, r.head = w, t.head
	r.garbage.add(t.garbage)
	r.written += t.bytes
	return nil
}

// clear removes what an attempt to write left beyond the head. The next head may be above it, and the
// World that it stands for need not have it.
func (r *records) clear() error {
	if len(r.strays) == 0 {
		return nil
	}
	if err := remove(r.db, r.strays); err != nil {
		return err
	}
	r.strays = nil
	return nil
}

// writing is the World on disk on its way to another.
type writing struct {
	records *records
	txn     *badger.Txn
	head    head
	garbage waste
	written [][]byte
	bytes   int64
}

func (t *writing) move(w *state.World, index uint64, refs map[manifest.Ref]struct{}) error {
	if err := t.all(w, refs); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	if err := t.commit("head"); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	t.head.revision, t.head.index = w.Revision(), index
	t.txn = t.records.db.NewTransaction(true)
	if err := t.txn.Set([]byte(keyHead), t.head.encode()); err != nil {
		return fmt.Errorf("write head: %w", err)
	}
	if err := t.commit("after head"); err != nil {
		return fmt.Errorf("write head: %w", err)
	}
	return nil
}

func (t *writing) all(w *state.World, refs map[manifest.Ref]struct{}) error {
	for ref := range refs {
		if err := t.record(ref, t.records.world.Get(ref), w.Get(ref), w.Revision()); err != nil {
			return err
		}
	}
	return t.adoptions(t.records.world.History(), w.History())
}

func (t *writing) record(ref manifest.Ref, old, next *state.Record, at state.Revision) error {
	if old == next {
		return nil
	}
	if old != nil {
		version := recordVersion(ref, old.Revision)
		t.head.drop(version)
		t.garbage.versions = append(t.garbage.versions, version)
	}
	if next == nil {
		removed := recordVersion(ref, at)
		t.garbage.markers = append(t.garbage.markers, removed)
		return t.set(removed, nil)
	}
	value, err := state.AppendRecord(make([]byte, 4, 512), next)
	if err != nil {
		return err
	}
	version := recordVersion(ref, next.Revision)
	t.head.add(version)
	return t.set(version, seal(value))
}

func (t *writing) adoptions(old, next []state.Adoption) error {
	kept := map[state.Revision]bool{}
	for i := range next {
		kept[next[i].Revision] = true
	}
	there := map[state.Revision]bool{}
	for i := range old {
		at := old[i].Revision
		there[at] = true
		if !kept[at] {
			t.head.drop(adoptionVersion(at))
			t.garbage.versions = append(t.garbage.versions, adoptionVersion(at))
		}
	}
	for i := range next {
		if there[next[i].Revision] {
			continue
		}
		data, err := state.EncodeAdoption(&next[i])
		if err != nil {
			return err
		}
		version := adoptionVersion(next[i].Revision)
		t.head.add(version)
		if err := t.set(version, seal(append(make([]byte, 4), data...))); err != nil {
			return err
		}
	}
	return nil
}

// seal fills in the checksum for which value has room at its beginning.
func seal(value []byte) []byte {
	binary.BigEndian.PutUint32(value, checksum(value[4:]))
	return value
}

// unseal is what was sealed.
func unseal(value []byte) ([]byte, error) {
	if len(value) < 4 || checksum(value[4:]) != binary.BigEndian.Uint32(value) {
		return nil, errors.New("its bytes are garbled")
	}
	return value[4:], nil
}

func (t *writing) set(key, value []byte) error {
	t.bytes += int64(len(key) + len(value))
	t.written = append(t.written, key)
	err := t.txn.Set(key, value)
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err
	}
	if err := t.commit("part"); err != nil {
		return err
	}
	t.txn = t.records.db.NewTransaction(true)
	return t.txn.Set(key, value)
}

func (t *writing) commit(next string) error {
	if err := t.records.fault(next); err != nil {
		return err
	}
	err := t.txn.Commit()
	t.txn = nil
	t.records.probe(next)
	return err
}

func (t *writing) discard() {
	if t.txn != nil {
		t.txn.Discard()
	}
}

// settle writes w, makes everything durable and answers the head that now survives a power cut. What
// it no longer needs may be swept once the head is kept as a checkpoint.
func (r *records) settle(w *state.World, index uint64, refs map[manifest.Ref]struct{}) (head, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.writeLocked(w, index, refs); err != nil {
		return head{}, err
	}
	if err := r.close(); err != nil {
		return head{}, err
	}
	r.past.add(r.garbage)
	r.garbage, r.written = waste{}, 0
	return r.head, nil
}

// sweep removes what neither the head nor the checkpoint needs, its markers after the next checkpoint.
// What a crash leaves of it is found again when the store is opened.
func (r *records) sweep() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.past.versions)+len(r.past.markers) == 0 {
		return nil
	}
	if err := r.open(); err != nil {
		return err
	}
	r.probe("sweep")
	if err := remove(r.db, r.past.versions); err != nil {
		return err
	}
	r.garbage.versions = append(r.garbage.versions, r.past.markers...)
	r.past = waste{}
	return nil
}

func remove(db *badger.DB, keys [][]byte) error {
	batch := db.NewWriteBatch()
	defer batch.Cancel()
	for _, key := range keys {
		if err := batch.Delete(key); err != nil {
			return fmt.Errorf("remove old records: %w", err)
		}
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("remove old records: %w", err)
	}
	return nil
}
