package runtime

import (
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/volume"
)

// volumes makes all volumes of the Pod. One that cannot be made holds the Pod back
// and is tried again, at once when what it waits for appears. The others are made
// beside it: containers that an earlier daemon started may be using them.
func (w *worker) volumes() {
	w.findImages()
	f, set := w.facts(), w.volumeSet()
	var errs []error
	for i := range w.desired.Pod.Spec.Volumes {
		v := &w.desired.Pod.Spec.Volumes[i]
		err := set.Prepare(w.ctx, f, v)
		if w.ctx.Err() != nil {
			return
		}
		if err != nil {
			errs = append(errs, err)
			w.awaitAnswer(err, &w.o.Volumes)
			w.notMounted(v.Name, err)
		}
	}
	if len(errs) > 0 {
		w.o.Volumes.fail(errors.Join(errs...), time.Now())
		return
	}
	w.o.Volumes.succeed()
	w.o.Refresh = w.refreshAt(time.Now())
}

// notMounted tells why a volume is not there, in kubelet's words.
func (w *worker) notMounted(name string, err error) {
	w.event(corev1.EventTypeWarning, "FailedMount", "MountVolume.SetUp failed for volume %q : %v", name, err)
}

// awaitAnswer tries again when a file system that did not answer does.
func (w *worker) awaitAnswer(err error, attempt *Attempt) {
	var hung *volume.HungError
	if errors.As(err, &hung) {
		w.retryOn(hung.Over, attempt)
	}
}

// retryOn tries again at once when a channel is closed. However often it is asked, one goroutine waits for each.
func (w *worker) retryOn(ready <-chan struct{}, attempt *Attempt) {
	waiting := w.awaited[ready]
	if slices.Contains(waiting, attempt) {
		return
	}
	w.awaited[ready] = append(waiting, attempt)
	if len(waiting) > 0 {
		return
	}
	w.task(func() {
		select {
		case <-ready:
			w.post(func() {
				for _, a := range w.awaited[ready] {
					a.Retry = time.Time{}
				}
				delete(w.awaited, ready)
			})
		case <-w.ctx.Done():
		}
	})
}

// notBound is why a container's mounts cannot be made. What users are not told is logged.
func (w *worker) notBound(container string, err error) error {
	var hidden interface{ Cause() error }
	if errors.As(err, &hidden) {
		w.r.log.Warn("subPath is refused", "pod", w.ref.String(), "container", container, "err", hidden.Cause())
	}
	return err
}

// updateVolumes follows ConfigMaps, Secrets and the Pod's own labels. What is
// missing now leaves the old files.
func (w *worker) updateVolumes() {
	f, set := w.facts(), w.volumeSet()
	for i := range w.desired.Pod.Spec.Volumes {
		v := &w.desired.Pod.Spec.Volumes[i]
		if !volume.Projected(v) {
			continue
		}
		if _, err := set.Update(f, v); err != nil {
			w.notMounted(v.Name, err)
		}
	}
	w.o.Refresh = w.refreshAt(time.Now())
}
