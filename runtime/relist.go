package runtime

import (
	"context"
	"errors"
	"time"

	"writ/runtime/shim"
)

const (
	// relistPeriod is how often each shim is asked for all that it holds, beside its
	// events: against what nobody thought of. The Pods take turns.
	relistPeriod = 5 * time.Minute
	// relistLimit is how long it may take to answer; one that failed to twice is
	// replaced, because it would not stop a container either.
	relistLimit = 30 * time.Second
	mostMute    = 2
)

// relist asks one Pod after the other, spread over the period.
func (r *Runtime) relist(ctx context.Context) {
	timer := time.NewTimer(relistPeriod)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		one, of := r.longestUnlisted()
		if one != nil {
			one.listed = time.Now()
			one.post(one.list)
		}
		timer.Reset(relistPeriod / time.Duration(max(of, 1)))
	}
}

// longestUnlisted is whose turn it is, among how many.
func (r *Runtime) longestUnlisted() (one *worker, of int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		if one == nil || w.listed.Before(one.listed) {
			one = w
		}
	}
	return one, len(r.workers)
}

// list asks the shim for everything, beside the worker.
func (w *worker) list() {
	s := w.shim
	if s == nil || w.o.Cleaned {
		return
	}
	w.task(func() {
		ctx, cancel := context.WithTimeout(w.ctx, relistLimit)
		defer cancel()
		found, err := s.State(ctx)
		w.post(func() { w.took(found, err) })
	})
}

// took compares what a shim holds with what it told.
func (w *worker) took(found shim.PodState, err error) {
	switch {
	case w.shim == nil || w.o.Cleaned:
	case err == nil:
		w.mute = 0
		for _, c := range found.Containers {
			if oc := w.o.Containers[c.Name]; oc == nil || oc.Run == nil || oc.Run.ID == c.ID && oc.Run.Status != c.Status && !older(&oc.Run.Container, &c) {
				w.r.log.Warn("shim had not told of a container", "pod", w.ref.String(), "container", c.Name, "status", c.Status)
			}
			w.observe(c)
		}
	case errors.Is(err, context.DeadlineExceeded):
		if w.mute++; w.mute >= mostMute {
			w.mute = 0
			w.task(w.replaceShim)
		}
	}
}

// replaceShim ends one that does not answer; who follows its events starts the next.
func (w *worker) replaceShim() {
	w.r.log.Warn("shim does not answer, it is replaced", "pod", w.ref.String(), "uid", string(w.uid))
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	if err := w.r.shims.End(ctx, w.paths.run); err != nil && w.ctx.Err() == nil {
		w.r.log.Warn("shim does not end", "pod", w.ref.String(), "uid", string(w.uid), "err", err)
	}
}
