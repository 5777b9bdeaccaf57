package runtime

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"writ/runtime/pressure"
	"writ/runtime/shim/crilog"
)

// Take takes what nobody misses: files of containers that have ended, old logs, images that nothing uses.
func (g *guarded) Take(ctx context.Context, t pressure.Take) error {
	switch t {
	case pressure.DeadContainers:
		return g.r.everyWorker(ctx, (*worker).dropDead)
	case pressure.OldLogs:
		return g.r.everyWorker(ctx, (*worker).dropLogs)
	case pressure.UnusedImages:
		_, err := g.r.ReclaimImages(0)
		return err
	}
	return nil
}

// everyWorker has all Pods do something and waits for it.
func (r *Runtime) everyWorker(ctx context.Context, do func(*worker) error) error {
	r.mu.Lock()
	all := make([]*worker, 0, len(r.workers))
	for _, w := range r.workers {
		all = append(all, w)
	}
	r.mu.Unlock()
	answers := make([]chan error, len(all))
	for i, w := range all {
		answer := make(chan error, 1)
		answers[i] = answer
		w.post(func() { answer <- do(w) })
	}
	var errs []error
	for i, w := range all {
		select {
		case err := <-answers[i]:
			errs = append(errs, err)
		case <-w.done: // it went, and its files with it
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// dropDead removes the files of attempts that have ended and are not started again. What their status and
// logs say stays. A Pod that has ended for good keeps neither layers nor emptyDirs.
func (w *worker) dropDead() error {
	var errs []error
	over := !w.ending.Load() && w.reported != nil && (&Snapshot{Status: w.reported}).over() && !w.o.anyRunning()
	for _, oc := range w.o.Containers {
		if oc.Last.Exited() {
			errs = append(errs, w.removeFiles(oc.Last.ID))
		}
		if over && oc.Run.Exited() {
			errs = append(errs, w.removeFiles(oc.Run.ID))
		}
	}
	if over {
		errs = append(errs, w.dropEmptyDirs())
	}
	return errors.Join(errs...)
}

func (w *worker) dropEmptyDirs() error {
	var errs []error
	for i := range w.desired.Pod.Spec.Volumes {
		if v := &w.desired.Pod.Spec.Volumes[i]; v.EmptyDir != nil && pressure.OnDisk(v) {
			errs = append(errs, w.volumeSet().RemoveOne(w.ctx, v.Name))
		}
	}
	return errors.Join(errs...)
}

// dropLogs removes rotated logs and those of attempts before the last two. Which those are is not known before the
// sandbox is: a daemon that starts on a full disk leaves the logs of what runs.
func (w *worker) dropLogs() error {
	if !w.o.Sandbox.Done {
		return nil
	}
	keep := map[string]bool{}
	for _, oc := range w.o.Containers {
		for _, r := range []*Run{oc.Run, oc.Last} {
			if r != nil {
				keep[r.LogPath] = true
			}
		}
	}
	current, err := filepath.Glob(filepath.Join(w.paths.logs, "*", "*.log"))
	errs := []error{err}
	for _, name := range current {
		for _, old := range crilog.Rotated(name) {
			errs = append(errs, os.Remove(old))
		}
		if !keep[name] {
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}
