package runtime

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/shim"
)

// follow listens to the shim for as long as the worker lives; a shim that dies is
// replaced by one that takes over. Whatever was told before the stream broke is not
// told again, and nothing after it is left out: the shim derives the events after a
// number from what it holds.
func (w *worker) follow() {
	s, after := w.shim, w.seq
	w.task(func() {
		if c, ok := s.(interface{ Close() }); ok {
			defer c.Close()
		}
		for failures := 0; ; {
			err := s.Events(w.ctx, after, func(e shim.Event) error {
				failures = 0
				after = max(after, e.Seq)
				if e.Container != nil {
					w.post(func() { w.observe(*e.Container); w.oom(e) })
				}
				return nil
			})
			if w.ctx.Err() != nil || w.isOver() {
				return
			}
			failures++
			w.r.log.Info("shim tells no events any more", "pod", w.ref.String(), "uid", string(w.uid), "err", err)
			if newest, ok := w.relaunch(failures); ok && newest < after {
				after = newest // the directory began anew: its numbers too
			}
		}
	})
}

func (w *worker) oom(e shim.Event) {
	if e.Kind == shim.EventOOM && e.Container.Status == shim.StatusRunning {
		w.event(corev1.EventTypeWarning, "OOMKilling", "Memory cgroup out of memory: a process of container %s was killed", e.Container.Name)
	}
}

// isOver says that the Pod is being cleaned, so that its shim is meant to go.
func (w *worker) isOver() bool {
	over := make(chan bool, 1)
	w.post(func() { over <- w.o.Cleaned || w.shim == nil })
	select {
	case v := <-over:
		return v
	case <-w.ctx.Done():
		return true
	case <-w.done:
		return true
	}
}

// relaunch makes sure that a shim is there, which takes over, and tells the worker
// what it found. It gives the number of the newest event.
func (w *worker) relaunch(failures int) (newest uint64, ok bool) {
	if failures > 1 {
		select {
		case <-time.After(retryDelay(failures)):
		case <-w.ctx.Done():
			return 0, false
		}
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	s, err := w.r.shims.Launch(ctx, w.paths.run)
	if err != nil {
		w.r.log.Warn("no shim takes over", "pod", w.ref.String(), "uid", string(w.uid), "err", err)
		return 0, false
	}
	found, err := s.State(ctx)
	if err != nil {
		return 0, false
	}
	w.post(func() {
		if w.o.Cleaned || w.shim == nil {
			return
		}
		for _, c := range found.Containers {
			w.observe(c)
		}
	})
	return found.Seq, true
}

// older says that what is told of a run is from before what is known: an answer that
// was overtaken by an event, or the other way round. Its status only moves forward.
func older(now, told *shim.Container) bool {
	return now.Status == shim.StatusExited && told.Status != shim.StatusExited
}
