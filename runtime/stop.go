package runtime

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/shim"
	"writ/runtime/volume"
)

// stop ends a container: preStop, its signal, and SIGKILL at the deadline. It may be
// asked again with an earlier deadline.
func (w *worker) stop(c *corev1.Container, s Step) {
	oc := w.o.container(c.Name)
	again := oc.Kill != nil && oc.Kill.Asked
	oc.Kill = &Kill{Deadline: s.Deadline, Asked: true}
	if !again {
		w.event(corev1.EventTypeNormal, "Killing", "%s", s.Why)
	}
	if cancel := w.stops[c.Name]; cancel != nil {
		cancel() // a preStop in progress ends with the old deadline
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.stops[c.Name] = cancel
	id, client := oc.Run.ID, w.shim
	if cancelProbe := w.probes[c.Name]; cancelProbe != nil && w.desired.Deletion != nil {
		cancelProbe()
		delete(w.probes, c.Name)
	}
	hook := preStop(c)
	if again || !time.Now().Before(s.Deadline) {
		hook = nil
	}
	target := w.target(c, id)
	w.task(func() {
		defer cancel()
		if hook != nil {
			hctx, done := context.WithDeadline(ctx, s.Deadline)
			if err := runHook(hctx, hook, target); err != nil && ctx.Err() == nil {
				w.event(corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
				w.r.log.Debug("preStop failed", "pod", w.ref.String(), "container", c.Name, "err", err)
			}
			done()
		}
		if ctx.Err() != nil {
			return
		}
		left := time.Until(s.Deadline)
		if hook != nil {
			left = max(left, leastGrace)
		}
		_, err := client.StopWith(ctx, id, max(left, 0), "")
		if err == nil || ctx.Err() != nil || errors.Is(err, shim.ErrNotFound) {
			return
		}
		w.r.log.Warn("container is not stopped", "pod", w.ref.String(), "container", c.Name, "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		w.post(func() { // the shim went away in between: what replaced it is asked
			if oc := w.o.container(c.Name); oc.Run.Running() && oc.Run.ID == id {
				oc.Kill = nil
			}
		})
	})
}

func preStop(c *corev1.Container) *corev1.LifecycleHandler {
	if c.Lifecycle == nil {
		return nil
	}
	return c.Lifecycle.PreStop
}

// clean takes away all that is left of a Pod whose containers have ended.
func (w *worker) clean() {
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	for _, cancelPull := range w.pulls {
		cancelPull()
	}
	if err := w.removeAll(ctx); err != nil {
		if w.ctx.Err() != nil {
			return
		}
		w.o.Cleanup.fail(err, time.Now())
		w.r.log.Warn("pod is not removed", "pod", w.ref.String(), "uid", string(w.uid), "err", err)
		w.event(corev1.EventTypeWarning, "FailedKillPod", "error killing pod: %v", err)
		return
	}
	w.o.Cleanup.succeed()
	w.o.Cleaned = true
}

func (w *worker) removeAll(ctx context.Context) error {
	w.finalMessages()
	if err := w.unstageAll(ctx); err != nil {
		return err
	}
	if err := w.endShim(ctx); err != nil {
		return err
	}
	if err := w.r.network.Detach(ctx, string(w.uid)); err != nil {
		return err
	}
	for _, oc := range w.o.Containers {
		for _, r := range []*Run{oc.Run, oc.Last} {
			if r != nil && w.r.cfg.LogLinks != "" {
				_ = os.Remove(w.r.cfg.link(w.desired.Pod, r.Name, r.ID))
			}
		}
	}
	if err := w.removePodData(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(w.paths.run); err != nil {
		return err
	}
	return os.RemoveAll(w.paths.logs)
}

// endShim asks the shim to end; one that does not is destroyed with all it holds.
func (w *worker) endShim(ctx context.Context) error {
	s := w.shim
	w.shim = nil
	if s != nil && !w.o.anyRunning() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err := s.Shutdown(ctx)
		if err == nil {
			return nil
		}
		w.r.log.Debug("shim does not end by itself", "pod", w.ref.String(), "err", err)
	}
	return w.r.shims.Destroy(ctx, w.paths.run)
}

// finalMessages are read before the files go.
func (w *worker) finalMessages() {
	for _, oc := range w.o.Containers {
		if oc.Run.Exited() && oc.Run.Message == "" {
			oc.Run.Message = w.terminationMessage(oc.Run)
		}
	}
}

// unstageAll takes away mounts that a crash in the middle of a start left.
func (w *worker) unstageAll(ctx context.Context) error {
	entries, err := os.ReadDir(w.paths.containers())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := volume.Unstage(ctx, &w.r.calls, filepath.Join(w.paths.folder(e.Name()), "stage")); err != nil {
			return err
		}
	}
	return nil
}

// removePodData unmounts and deletes the data directory of a Pod, whatever is in it.
func (w *worker) removePodData(ctx context.Context) error {
	p := w.paths
	entries, err := os.ReadDir(p.containers())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := w.removeFolder(ctx, e.Name()); err != nil {
			return err
		}
	}
	for _, dir := range []string{p.shm(), p.box(), filepath.Join(p.data, "shm")} { // the last is an older daemon's
		if err := volume.Unmount(dir); err != nil {
			return err
		}
	}
	if err := w.volumeSet().Remove(ctx); err != nil {
		return err
	}
	return os.RemoveAll(p.data)
}
