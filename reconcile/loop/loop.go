package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// Back-off after the store refused: in seconds, doubling.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// patience is how often in a row a Plan may find its ground moved before the loop takes a breath.
const patience = 20

// Loop computes and proposes.
type Loop struct {
	cfg   Config
	store Store
	log   *slog.Logger

	memory    *reconcile.Memory
	seen      state.Revision // changes up to it are learnt
	candidate *loaded        // to be adopted; nil if none
	parked    *loaded        // to be adopted once its suspension ends; nil if none
	sick      manifest.Ref   // object that was last found not to be healthy
	retry     time.Duration  // current back-off, 0 if none
	until     time.Time      // end of the back-off
	moved     int            // refusals with ErrMoved in a row

	telling sync.Mutex // held while Progress is told; before mu
	told    state.Progress

	mu     sync.Mutex
	report Report
	set    *manifest.Set
}

// New makes a Loop; Run starts it.
func New(cfg Config, store Store, log *slog.Logger) (*Loop, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Record == nil {
		cfg.Record = func(state.Event) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Progress == nil {
		cfg.Progress = func(state.Progress) {}
	}
	return &Loop{
		cfg: cfg, store: store, log: log.With("component", "reconcile"),
		memory: reconcile.NewMemory(cfg.Options),
	}, nil
}

// Run computes until ctx ends, and returns its error.
func (l *Loop) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	commits := make(chan loaded)
	var loader sync.WaitGroup
	loader.Go(func() { l.load(ctx, commits) })
	defer loader.Wait()
	defer cancel()

	l.seen = l.store.World().Revision()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-commits:
			l.take(ctx, c)
		case <-l.store.Changed(l.seen):
		case <-timer.C:
		case <-l.cfg.ClockSet:
			l.log.Info("the clock was set")
			l.memory.Forget() // what was reached by time alone may be ahead again, and what is ahead may be due
		}
		wait := l.settle(ctx)
		l.pass()
		if wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
	}
}

// settle computes and proposes until nothing is due, and answers when to look again; 0 is never.
func (l *Loop) settle(ctx context.Context) time.Duration {
	if wait := time.Until(l.until); wait > 0 {
		return wait
	}
	for ctx.Err() == nil {
		l.learn(0)
		now := l.cfg.Now()
		l.unpark(now)
		if l.candidate == nil && !l.memory.Due(now) {
			l.calm(now)
			return l.next(now)
		}
		err := l.step(ctx, now)
		switch {
		case err == nil:
			l.moved = 0
		case errors.Is(err, state.ErrMoved) && l.moved < patience:
			l.moved++
			l.memory.Forget()
		default:
			return l.refused(ctx, err)
		}
	}
	return 0
}

// next is how long to wait for the time to change something.
func (l *Loop) next(now time.Time) time.Duration {
	wake := l.memory.Wake()
	if l.parked != nil {
		if end := l.parked.suspend().End(); !end.IsZero() && (wake.IsZero() || end.Before(wake)) {
			wake = end
		}
	}
	if wake.IsZero() {
		return 0
	}
	return max(wake.Sub(now), time.Millisecond)
}

// calm says that everything that was due is true.
func (l *Loop) calm(now time.Time) {
	l.heal(now)
	l.trouble(nil)
	if l.retry > 0 {
		l.log.Info("plans are carried out again")
		l.retry = 0
	}
	notes := l.memory.Notes()
	l.tell(func(r *Report) { r.Notes = notes })
}

// refused waits longer each time. The reason is told once.
func (l *Loop) refused(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	l.memory.Forget()
	l.moved = 0
	if l.Report().Trouble != err.Error() {
		l.log.Error("plan cannot be carried out", "err", err)
	}
	l.trouble(err)
	if c := l.candidate; c != nil {
		l.tell(func(r *Report) {
			if r.Newest.Hash == c.commit.Hash {
				r.Stages.Adopted = state.Stage{Reason: err.Error()}
			}
		})
	}
	l.retry = min(max(2*l.retry, firstRetry), lastRetry)
	l.until = time.Now().Add(l.retry)
	return l.retry
}

// learn takes in what changed since the last look.
func (l *Loop) learn(own state.Revision) {
	changes, w, ok := l.store.Since(l.seen)
	if !ok {
		l.memory.Forget()
	} else {
		l.memory.Learn(w, changes, own)
	}
	l.seen = w.Revision()
}

// step makes one Plan true.
func (l *Loop) step(ctx context.Context, now time.Time) error {
	w, ok := l.worldSeen()
	if !ok {
		return nil // it moved on meanwhile; look again
	}
	c := l.candidate
	plan, err := l.plan(ctx, w, c, now)
	if err != nil {
		return err
	}
	if c != nil && l.candidate == nil {
		return nil // it was refused
	}
	var at state.Revision
	var did Tally
	if c != nil {
		did = tally(w, c.set, &plan)
	}
	if !plan.Empty() {
		if at, err = l.store.Propose(ctx, plan.Batch); err != nil {
			return err // settle forgets: the Memory has reckoned with it
		}
	}
	l.memory.Keep(&plan)
	for _, e := range plan.Events {
		l.cfg.Record(e)
	}
	switch {
	case c == nil:
	case plan.Suspended != nil:
		l.park(c, plan.Suspended)
	default:
		l.adopted(c, plan, did)
	}
	l.learn(at)
	return nil
}

// worldSeen is the World whose changes are all learnt.
func (l *Loop) worldSeen() (*state.World, bool) {
	w := l.store.World()
	return w, w.Revision() == l.seen
}

// plan computes, for the candidate if there is one. A refusal of the candidate is reported, and is no error.
func (l *Loop) plan(ctx context.Context, w *state.World, c *loaded, now time.Time) (plan reconcile.Plan, err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic while planning", "panic", p, "stack", string(debug.Stack()))
			l.memory.Forget()
			plan, err = reconcile.Plan{}, fmt.Errorf("plan: internal error: %v", p)
			if c != nil {
				l.refuse(c, panicked(p))
				err = nil
			}
		}
	}()
	if c == nil {
		return l.memory.Plan(w, now)
	}
	plan, err = l.memory.Adopt(w, c.set, l.commit(ctx, w, c), now)
	var held reconcile.Held
	if _, wrong := mistakesOf(err); wrong || errors.As(err, &held) {
		l.refuse(c, err)
		return reconcile.Plan{}, nil
	}
	return plan, err
}
