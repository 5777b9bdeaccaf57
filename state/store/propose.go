package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"writ/state"
)

var errClosed = errors.New("the store is closed")

// proposal is a Batch that was given a revision and waits to be published.
type proposal struct {
	world   *state.World
	changes []state.Change
	logged  bool          // a decision: published when the log has it
	done    chan struct{} // closed when published, or with err
	err     error
}

// Propose makes a Batch true and answers its revision, once a crash cannot undo it (decisions) or at
// once (observations); the World is then at or past it. A Batch that changes nothing is given the
// revision of the World.
//
// ctx may end the waiting for one's turn; once the Batch is on its way the outcome is awaited, so that
// the answer is the truth. Errors wrap state.ErrMoved where computing again may help. With any other
// nothing of the Batch is true; only if the log itself failed, the next Open may find it done as a whole.
func (s *Store) Propose(ctx context.Context, b state.Batch) (state.Revision, error) {
	if err := s.proposing.take(ctx); err != nil {
		return 0, fmt.Errorf("propose: %w", err)
	}
	if err := errors.Join(ctx.Err(), s.failed()); err != nil {
		s.proposing.give()
		return 0, fmt.Errorf("propose: %w", err)
	}
	p, last, err := s.sequence(b)
	s.proposing.give()
	if err != nil {
		return 0, fmt.Errorf("propose: %w", err)
	}
	if last != nil {
		if err := last.Error(); err != nil {
			s.fail(s.journal.cause(err))
		}
	}
	<-p.done
	return p.world.Revision(), p.err
}

// sequence gives a Batch its revision and its place. The future, if any, is that of its last chunk.
func (s *Store) sequence(b state.Batch) (*proposal, raft.Future, error) {
	next, changes, err := state.Apply(s.tip, b, s.tip.Revision()+1)
	if err != nil {
		return nil, nil, err
	}
	p := &proposal{world: next, changes: changes, done: make(chan struct{})}
	if len(changes) == 0 && b.Adopt == nil {
		p.world = s.tip
	}
	if p.world == s.tip || b.Observation() {
		s.enqueue(p)
		s.tip = p.world
		return p, nil, nil
	}
	p.logged = true
	last, err := s.decide(p, b.Adopt != nil)
	if err != nil {
		return nil, nil, err
	}
	s.tip = next
	return p, last, nil
}

// decide sends a decision to the log. With an error nothing of it counts: the next entry takes its
// revision, and what was sent of it is dropped.
func (s *Store) decide(p *proposal, adopts bool) (raft.Future, error) {
	if err := s.room(); err != nil {
		return nil, err
	}
	var adopted *state.Adoption
	if adopts {
		a := p.world.Adopted()
		adopted = &a
	}
	w := window{s: s, p: p}
	c := newChunker(chunkDecision, p.world.Revision(), s.sealer, w.send)
	if err := c.decision(p.changes, adopted); err != nil {
		w.abandon()
		return nil, err
	}
	return w.last, nil
}

// window sends chunks, so that no more than some are on their way at a time.
type window struct {
	s       *Store
	p       *proposal
	pending []raft.Future
	last    raft.Future
}

// ahead is how many chunks of a large decision may wait for the log.
const ahead = 64

func (w *window) send(chunk []byte) error {
	header, err := readHeader(chunk)
	if err != nil {
		return err
	}
	w.s.cfg.probe("chunk")
	if len(w.pending) == ahead {
		if err := w.pending[0].Error(); err != nil {
			w.s.fail(w.s.journal.cause(err))
			return w.s.failed()
		}
		if err := w.s.room(); err != nil {
			return err
		}
		w.pending = w.pending[1:]
	}
	if header.last {
		w.s.enqueue(w.p) // before the log can answer
	}
	w.last = w.s.journal.raft.Apply(chunk, 0)
	w.pending = append(w.pending, w.last)
	w.s.count(len(chunk))
	return nil
}

// abandon leaves a decision that was not sent to its end.
func (w *window) abandon() {
	for _, f := range w.pending {
		if err := f.Error(); err != nil {
			w.s.fail(w.s.journal.cause(err))
		}
	}
	w.s.mu.Lock()
	w.s.within = false
	w.s.mu.Unlock()
}

// enqueue puts a proposal behind those before it; an observation with none before it is published.
func (s *Store) enqueue(p *proposal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, p)
	if s.failure != nil {
		s.refuse()
		return
	}
	s.publish(0)
}

func (s *Store) count(bytes int) {
	s.mu.Lock()
	s.logged += int64(bytes)
	s.mu.Unlock()
}

// committed is told by raft that an entry is in the log for good.
func (s *Store) committed(l *raft.Log) error {
	header, err := readHeader(l.Data)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.within = !header.last
	if s.within || s.failure != nil { // after a failure the World stays: the next Open replays this
		return nil
	}
	s.index = l.Index
	s.publish(header.revision)
	return nil
}

// publish shows the proposals that have nothing to wait for: those up to a revision that is in the
// log, and the observations behind them. s.mu is held.
func (s *Store) publish(logged state.Revision) {
	n := 0
	var steps []step
	for n < len(s.queue) && (!s.queue[n].logged || s.queue[n].world.Revision() <= logged) {
		p := s.queue[n]
		n++
		if p.world == s.feed.world() {
			continue
		}
		if len(p.changes) > 0 || p.logged {
			steps = append(steps, step{revision: p.world.Revision(), changes: p.changes, bytes: weigh(p.changes)})
		}
		for i := range p.changes {
			s.dirty[p.changes[i].Ref] = struct{}{}
		}
	}
	if n == 0 {
		return
	}
	if len(steps) > 0 {
		s.feed.publish(s.queue[n-1].world, steps)
		s.stir()
	}
	for i, p := range s.queue[:n] {
		close(p.done)
		s.queue[i] = nil
	}
	s.queue = s.queue[n:]
}

// fail ends the acceptance of Batches. The World stays what it was.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return
	}
	s.failure = err
	close(s.broken)
	s.refuse()
}

// refuse answers all that waits. s.mu is held.
func (s *Store) refuse() {
	for _, p := range s.queue {
		p.err = fmt.Errorf("propose: %w", s.failure)
		close(p.done)
	}
	s.queue = nil
}

func (s *Store) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}
