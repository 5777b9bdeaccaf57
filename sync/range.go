package sync

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// paint says from where a commit was reached.
type paint uint8

const (
	left  paint = 1 << iota // from the first tip
	right                   // from the second
	stale                   // from a commit that both reach
)

// walked is a commit on the way of painting.
type walked struct {
	*object.Commit
	paint  paint
	queued bool
}

// newestFirst is a heap of commits by the time that they claim.
type newestFirst []*walked

func (q newestFirst) Len() int { return len(q) }
func (q newestFirst) Less(i, j int) bool {
	a, b := q[i], q[j]
	if n := a.Committer.When.Compare(b.Committer.When); n != 0 {
		return n > 0
	}
	return slices.Compare(a.Hash[:], b.Hash[:]) < 0
}
func (q newestFirst) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *newestFirst) Push(x any)   { *q = append(*q, x.(*walked)) }
func (q *newestFirst) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// painter walks history from the newest commits down, only as far as needed: it does not look at what
// lies below commits that both sides reach.
type painter struct {
	db    *objects
	known map[plumbing.Hash]*walked
	queue newestFirst
	busy  int // in the queue and of use
}

// of says whether a commit that was painted so may still tell something.
type of func(paint) bool

// paint adds a colour to a commit and queues it where that is new. A commit that the mirror does not
// have is the end of a shallow history.
func (p *painter) paint(h plumbing.Hash, colour paint, useful of) error {
	w := p.known[h]
	if w == nil {
		c, err := p.db.commit(h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read commit %s: %w", h, err)
		}
		w = &walked{Commit: c}
		p.known[h] = w
	}
	if w.paint|colour == w.paint {
		return nil
	}
	if w.queued && useful(w.paint) {
		p.busy--
	}
	w.paint |= colour
	if useful(w.paint) {
		p.busy++
	}
	if !w.queued {
		w.queued = true
		heap.Push(&p.queue, w)
	}
	return nil
}

// run paints until nothing of use is left in the queue.
func (p *painter) run(ctx context.Context, useful of, each func(*walked) (down paint, err error)) error {
	for p.busy > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		w := heap.Pop(&p.queue).(*walked)
		w.queued = false
		if useful(w.paint) {
			p.busy--
		}
		down, err := each(w)
		if err != nil {
			return err
		}
		for _, h := range w.ParentHashes {
			if err := p.paint(h, down, useful); err != nil {
				return err
			}
		}
	}
	return nil
}

// between lists the commits that tip reaches and base does not, parents after their children as far as
// clocks were right, and whether tip reaches base. Where clocks were wrong, some that base does reach
// may be among them. More than limit are an error.
func (db *objects) between(ctx context.Context, base, tip plumbing.Hash, limit int) ([]*object.Commit, bool, error) {
	p := &painter{db: db, known: map[plumbing.Hash]*walked{}}
	useful := func(c paint) bool { return c == left }
	if err := errors.Join(p.paint(base, right, useful), p.paint(tip, left, useful)); err != nil {
		return nil, false, err
	}
	var list []*walked
	err := p.run(ctx, useful, func(w *walked) (paint, error) {
		if w.paint == left {
			list = append(list, w)
		}
		if len(list) > limit {
			return 0, problemf(Untrusted, "more than %d commits since %s would have to be verified", limit, base)
		}
		if w.paint&right != 0 {
			return right, nil // what base reaches is of no interest, whoever else reaches it
		}
		return left, nil
	})
	if err != nil {
		return nil, false, err
	}
	var commits []*object.Commit
	for _, w := range list {
		if w.paint == left {
			commits = append(commits, w.Commit)
		}
	}
	at := p.known[base]
	return commits, at != nil && at.paint&left != 0, nil
}

// mergeBases are the best common ancestors of two commits. Where clocks were wrong there may be more of
// them, never fewer.
func (db *objects) mergeBases(ctx context.Context, a, b plumbing.Hash) ([]plumbing.Hash, error) {
	p := &painter{db: db, known: map[plumbing.Hash]*walked{}}
	useful := func(c paint) bool { return c&stale == 0 }
	if err := errors.Join(p.paint(a, left, useful), p.paint(b, right, useful)); err != nil {
		return nil, err
	}
	found := map[plumbing.Hash]*walked{}
	err := p.run(ctx, useful, func(w *walked) (paint, error) {
		if w.paint&(left|right) != left|right {
			return w.paint, nil
		}
		found[w.Hash] = w
		return w.paint | stale, nil
	})
	if err != nil {
		return nil, err
	}
	var bases []plumbing.Hash
	for h, w := range found {
		if w.paint&stale == 0 {
			bases = append(bases, h)
		}
	}
	slices.SortFunc(bases, func(x, y plumbing.Hash) int { return slices.Compare(x[:], y[:]) })
	return bases, nil
}
