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

// stop begins the end of a container: it is told, and its preStop runs beside it. It may be asked again with
// an earlier deadline.
func (w *worker) stop(c *corev1.Container, s Step) {
	oc := w.o.container(c.Name)
	if k := oc.Kill; k != nil {
		oc.Kill = &Kill{Deadline: s.Deadline, Hooked: k.Hooked}
		return
	}
	oc.Kill, oc.Anew = &Kill{Deadline: s.Deadline}, oc.Anew || s.Anew
	w.about(c, corev1.EventTypeNormal, "Killing", "%s", s.Why)
	if cancel := w.lives[c.Name]; cancel != nil { // what may end it again; whether it is ready goes on being asked
		cancel()
		delete(w.lives, c.Name)
	}
	hook := preStop(c)
	if hook == nil || !time.Now().Before(s.Deadline) {
		oc.Kill.Hooked = true
		return
	}
	id := oc.Run.ID
	run := w.lifecycle(c, id, hook)
	ctx, cancel := context.WithCancel(w.ctx)
	w.stops[c.Name] = cancel
	w.task(func() {
		defer cancel()
		failure := run(ctx) // an overrunning one goes on until its container is killed
		if failure != "" && w.ctx.Err() == nil {
			w.about(c, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
			w.r.log.Debug("preStop failed", "pod", w.ref.String(), "container", c.Name)
		}
		w.post(func() {
			if oc := w.o.container(c.Name); oc.Kill != nil && oc.Run.ID == id {
				oc.Kill.Hooked = true
			}
		})
	})
}

// signal sends a container its signal, and SIGKILL once its deadline is over. There is always a moment
// in between.
func (w *worker) signal(c *corev1.Container, s Step) {
	oc := w.o.container(c.Name)
	oc.Kill.Asked = true
	id, client := oc.Run.ID, w.shim
	w.task(func() {
		_, err := client.StopWith(w.ctx, id, max(time.Until(s.Deadline), leastGrace), "")
		if err == nil || w.ctx.Err() != nil || errors.Is(err, shim.ErrNotFound) {
			return
		}
		w.r.log.Warn("container is not stopped", "pod", w.ref.String(), "container", c.Name, "err", err)
		if errors.Is(err, shim.ErrTimeout) {
			w.about(c, corev1.EventTypeWarning, "FailedKillPod", "error killing pod: failed to \"KillContainer\" for %q with KillContainerError: %q", c.Name, err.Error())
		}
		if sleep(w.ctx, 1) != nil {
			return
		}
		w.post(func() { // the shim went away in between: what replaced it is asked
			if oc := w.o.container(c.Name); oc.Run.Running() && oc.Run.ID == id && oc.Kill != nil {
				oc.Kill.Asked = false
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
	if err := errors.Join(w.removeAll(ctx), w.r.forgetEvicted(w.uid)); err != nil {
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
	for _, oc := range w.o.Containers {
		for _, r := range []*Run{oc.Run, oc.Last} {
			if r != nil && w.r.cfg.LogLinks != "" {
				_ = os.Remove(w.r.cfg.link(w.desired.Pod, r.Name, r.ID))
			}
		}
	}
	if err := os.RemoveAll(w.paths.logs); err != nil { // before what tells of the Pod, or nobody would find them
		return err
	}
	if err := w.removePodData(ctx); err != nil {
		return err
	}
	if err := w.r.network.Detach(ctx, string(w.uid)); err != nil { // it writes, for which a full disk needs the room that there is now
		return err
	}
	return os.RemoveAll(w.paths.run)
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
	if err := w.r.shims.Destroy(ctx, w.paths.run); err != nil {
		return err
	}
	return removePodCgroup(ctx, w.r.cfg.cgroup(w.uid)) // of a life that left nothing else: its shim and its run directory are gone
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
	staged, err := filepath.Glob(p.volumeImage("*") + layersSuffix)
	if err != nil {
		return err
	}
	for _, dir := range staged {
		if err := volume.UnmountBelow(ctx, &w.r.calls, dir); err != nil {
			return err
		}
	}
	w.releaseLabels()
	return os.RemoveAll(p.data)
}
