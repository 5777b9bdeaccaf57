package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"writ/manifest"
	"writ/state"
)

// Store keeps a World. Its methods may be called from any goroutine.
type Store struct {
	cfg      Config
	log      *slog.Logger
	lock     *os.File
	identity identity
	key      key
	sealer   *sealer
	records  *records
	journal  *decisions
	machine  *machine
	feed     *feed

	proposing turn         // the sequencer: one Batch after another; never taken by raft's goroutines
	tip       *state.World // with every Batch that was given a revision, published or not

	writing sync.Mutex // held while the records are written; outside mu

	mu      sync.Mutex // held shortly; inside proposing and writing
	queue   []*proposal
	index   uint64                    // of the last entry of the log that is published
	dirty   map[manifest.Ref]struct{} // published and not yet on disk
	logged  int64                     // bytes of log since the last checkpoint
	within  bool                      // the log ends within a decision
	busy    bool                      // it did when raft last asked for a checkpoint
	failure error                     // after it nothing is accepted any more

	broken  chan struct{} // closed with failure
	wake    chan struct{} // something is dirty
	stop    chan struct{}
	stopped sync.WaitGroup
}

// turn is a lock that is waited for as long as a context lasts.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }

// Open reads the store in cfg.Dir, or makes an empty one, and begins a new epoch: the World's revision
// is the first of it. The store's own goroutines run until Close.
//
// Errors wrap ErrUnusable where the store is damaged or of a later version; it is then untouched.
func Open(cfg Config, log *slog.Logger) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg.withDefaults(), log: log.With("component", "store"), proposing: make(turn, 1),
		dirty:  map[manifest.Ref]struct{}{},
		broken: make(chan struct{}), wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	var err error
	if s.lock, err = lockDir(cfg.Dir); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	s.stopped.Go(s.keep)
	s.stir() // what was replayed is dirty, and a long log is due
	return s, nil
}

func (s *Store) open() (err error) {
	if err := s.room(); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if s.identity, s.key, err = readIdentity(s.cfg); err != nil {
		return err
	}
	s.sealer = newSealer(s.key)
	q := quiet{s.log}
	if s.journal, err = openLog(s.cfg.Dir, s.identity, q); err != nil {
		return err
	}
	s.records = &records{dir: s.cfg.Dir, log: q, probe: s.cfg.probe, fault: s.cfg.fault, memtable: s.cfg.memtable, key: s.key.records()}
	if err := s.read(); err != nil {
		return unusable(s.cfg.Dir, err)
	}
	if err := s.start(q); err != nil {
		return err
	}
	if s.identity.Made {
		return nil
	}
	s.identity.Made = true
	return s.identity.write(s.cfg.Dir)
}

// read makes the tip what the records say.
func (s *Store) read() error {
	checkpoint, err := s.journal.checkpoint()
	if err != nil {
		return err
	}
	if err := s.records.load(s.identity.Cluster, checkpoint); err != nil {
		return err
	}
	s.tip, s.index = s.records.world, s.records.head.index
	return s.journal.covers(s.records.head, s.identity.Made)
}

// start replays the log, begins the epoch and publishes the first World.
func (s *Store) start(q quiet) (err error) {
	a, o := &assembler{}, &opener{key: s.key}
	s.machine = &machine{replay: func(l *raft.Log) error { return s.replay(a, o, l) }, live: s.committed, point: s.point}
	if err := s.journal.start(s.machine, s.cfg.wrapLog, q); errors.Is(err, errNotElected) || errors.Is(err, errMembers) {
		return unusable(s.cfg.Dir, err)
	} else if err != nil {
		return err
	}
	if s.logged, err = s.journal.size(); err != nil {
		return err
	}
	if s.machine.err != nil {
		return unusable(s.cfg.Dir, s.machine.err)
	}
	s.machine.started = true
	first := state.FirstOf(s.tip.Revision().Epoch() + 1)
	s.tip = state.WithRevision(s.tip, first)
	s.feed = newFeed(s.tip, s.cfg.Recent)
	c := newChunker(chunkEpoch, first, s.sealer, func(chunk []byte) error { return s.journal.raft.Apply(chunk, 0).Error() })
	if err := c.flush(true); err != nil {
		return fmt.Errorf("begin epoch %d: %w", first.Epoch(), err)
	}
	return nil
}

// replay does again what an entry after the head did.
func (s *Store) replay(a *assembler, o *opener, l *raft.Log) error {
	if l.Index <= s.records.head.index {
		return nil
	}
	header, err := readHeader(l.Data)
	if err != nil {
		return err
	}
	piece, err := o.open(l.Data)
	if err != nil {
		return err
	}
	d, err := a.add(header, piece)
	if d == nil || err != nil {
		return err
	}
	s.index = l.Index
	if header.kind == chunkEpoch {
		s.tip = state.WithRevision(s.tip, d.revision)
		return nil
	}
	s.tip = state.Replay(s.tip, d.changes, d.adopted, d.revision)
	for i := range d.changes {
		s.dirty[d.changes[i].Ref] = struct{}{}
	}
	return nil
}

// Run waits until ctx ends or the log fails, which nothing but a new Open recovers from. It answers
// that failure. Nobody has to call it for the store to work.
func (s *Store) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.broken:
		return s.failed()
	}
}

// Close writes what is left and lets go of the folder. The World may still be read. On a full disk
// nothing is written: what was decided is in the log, and the error says that what was last observed is
// lost. To be called once.
func (s *Store) Close() error {
	s.proposing <- struct{}{}
	_ = s.journal.raft.Barrier(0).Error() // what is on its way arrives; a log that failed has refused it
	s.fail(errClosed)
	s.proposing.give()
	close(s.stop)
	s.stopped.Wait()
	err := s.room()
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		err = fmt.Errorf("close store: what was last observed is not kept: %w", err)
	}
	return errors.Join(err, s.release())
}

// release gives back whatever was opened.
func (s *Store) release() error {
	var err error
	if s.journal != nil {
		err = s.journal.close()
	}
	if s.records != nil && s.room() == nil { // Badger is left as a kill would leave it: closing it writes
		err = errors.Join(err, s.records.rest())
	}
	return errors.Join(err, s.lock.Close())
}

// World is the current picture of the cluster.
func (s *Store) World() *state.World { return s.feed.world() }

// Since is what changed after rev, oldest first, and the World that it led to. ok is false if that is
// not known any more, or rev is of another store: start again from the World.
func (s *Store) Since(rev state.Revision) (changes []state.Change, w *state.World, ok bool) {
	return s.feed.since(rev)
}

// Changed is closed once the World is past rev, at once if it is.
func (s *Store) Changed(rev state.Revision) <-chan struct{} { return s.feed.changed(rev) }

// room says whether the disk has space for decisions.
func (s *Store) room() error {
	free, err := s.cfg.free(s.cfg.Dir)
	if err != nil {
		return err
	}
	if free < s.cfg.Reserve {
		return fmt.Errorf("disk full: %d MiB are left for %s, %d are needed; make room and it goes on", free>>20, s.cfg.Dir, s.cfg.Reserve>>20)
	}
	return nil
}

// restAfter is how long Badger stays open without a write.
const restAfter = 5 * time.Second
