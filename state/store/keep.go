package store

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/raft"

	"writ/manifest"
	"writ/state"
)

// retry is the time between attempts to write while the disk is full.
const retry = 5 * time.Second

// stir says that something is dirty.
func (s *Store) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// keep brings to disk what was published, a little later and together, and closes Badger when nothing
// more comes. It has no timer while there is nothing to do.
func (s *Store) keep() {
	timer := time.NewTimer(restAfter)
	defer timer.Stop()
	armed := false // for writing, not for resting
	told := ""     // why it could not be written, until it can again
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
			if !armed {
				timer.Reset(s.cfg.delay)
				armed = true
			}
		case <-timer.C:
			if !armed {
				if s.room() != nil {
					timer.Reset(restAfter) // closing Badger writes, too
				} else if err := s.records.rest(); err != nil {
					s.log.Error("cannot close the records", "err", err)
				}
				continue
			}
			armed = false
			if err := s.once(); err != nil {
				if err.Error() != told {
					s.log.Warn("records wait to be written", "err", err)
					told = err.Error()
				}
				timer.Reset(retry)
				armed = true
				continue
			}
			told = ""
			timer.Reset(restAfter)
		}
	}
}

// once writes what is dirty, and a checkpoint when enough has come together.
func (s *Store) once() error {
	if err := s.room(); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	if s.due() {
		return s.checkpoint()
	}
	return nil
}

func (s *Store) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	return s.logged >= s.cfg.checkpoint || s.records.written >= s.cfg.checkpoint
}

// flush writes what is dirty.
func (s *Store) flush() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	p := s.take()
	if err := s.records.write(p.world, p.index, p.dirty); err != nil {
		s.giveBack(p.dirty)
		return err
	}
	return nil
}

// position is a published World with what is not yet on disk of it.
type position struct {
	world *state.World
	index uint64
	dirty map[manifest.Ref]struct{}
}

// take is for the holder of s.writing, who writes it or gives it back: a World must never be written
// over a later one.
func (s *Store) take() position {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := position{world: s.feed.world(), index: s.index, dirty: s.dirty}
	s.dirty = map[manifest.Ref]struct{}{}
	return p
}

func (s *Store) giveBack(dirty map[manifest.Ref]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.dirty, dirty)
}

// errBusy says that the log ends within a decision, which must not be cut in two.
var errBusy = errors.New("a decision is being written")

// checkpoint makes everything published durable in Badger, says so in a snapshot of raft's, after
// which raft drops the log before it, and removes the versions that only the last checkpoint needed.
func (s *Store) checkpoint() error {
	s.mu.Lock()
	before := s.logged
	s.mu.Unlock()
	if err := s.journal.raft.Snapshot().Error(); err != nil {
		if s.wasBusy() {
			return nil // its end will wake us again
		}
		return fmt.Errorf("make checkpoint: %w", err)
	}
	s.mu.Lock()
	s.logged -= before
	s.mu.Unlock()
	return s.records.sweep()
}

// point is called by raft between two entries, to be persisted beside those that follow.
func (s *Store) point() (raft.FSMSnapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy = s.within; s.busy {
		return nil, errBusy
	}
	return snapshot{s}, nil
}

// wasBusy says that raft was last answered errBusy, which its own error hides.
func (s *Store) wasBusy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}

// snapshot is no copy of the World, only the promise that this node's Badger has it: the head that is
// durable. To another voter it would be worth nothing, so there is none (decisions.alone).
type snapshot struct{ s *Store }

// Persist may put in a later World than the one at which raft asked; its head says which.
func (n snapshot) Persist(sink raft.SnapshotSink) error {
	h, err := n.s.settle()
	if err == nil {
		n.s.cfg.probe("checkpoint")
		_, err = sink.Write(h.encode())
	}
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release has nothing to let go of.
func (n snapshot) Release() {}

func (s *Store) settle() (head, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	p := s.take()
	h, err := s.records.settle(p.world, p.index, p.dirty)
	if err != nil {
		s.giveBack(p.dirty)
	}
	return h, err
}
