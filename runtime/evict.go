package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/disk"
	"writ/runtime/pressure"
	"writ/state"
)

// How far an evicted Pod is on its way out (worker.leaving).
const (
	stays int32 = iota
	leaves
	left // nothing of it is on this node but its status
)

// evict begins to end the Pod, which frees what it has as soon as nothing of it runs. One that is deleted gets less time.
func (w *worker) evict(e *pressure.Eviction) {
	if w.o.Failed != nil || finished(w.desired.Pod, &w.o) {
		w.leaving.CompareAndSwap(leaves, stays) // it ends otherwise
		return
	}
	now := time.Now()
	f := &Failure{Reason: pressure.Reason, Message: e.Message, Until: now.Add(state.Seconds(e.Grace)), Leave: true}
	if err := w.r.markEvicted(w.uid, f); err != nil {
		w.r.log.Warn("it is not written down that a pod is evicted", "pod", w.ref.String(), "err", err)
	}
	w.o.Failed = f
	w.leaving.Store(leaves)
	for _, cancel := range w.pulls { // they would make the shortage worse
		cancel()
	}
	w.event(corev1.EventTypeWarning, pressure.Reason, "%s", e.Message)
	if e.Disrupted && w.reported != nil {
		w.disrupted(e.Message, now)
	}
}

// disrupted says in the status that the Pod goes for the node's sake.
func (w *worker) disrupted(message string, now time.Time) {
	c := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonTerminationByKubelet,
		Message: message, ObservedGeneration: w.desired.Pod.Generation, LastTransitionTime: metav1.NewTime(now).Rfc3339Copy()}
	s := w.reported.DeepCopy()
	for i := range s.Conditions {
		if s.Conditions[i].Type == c.Type {
			return
		}
	}
	s.Conditions = append(s.Conditions, c)
	w.reported, w.sent = s, false
}

// leave takes away all that is left of an evicted Pod but what is known of it.
func (w *worker) leave() {
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	if err := w.removeAll(ctx); err != nil {
		if w.ctx.Err() == nil {
			w.o.Cleanup.fail(err, time.Now())
			w.r.log.Warn("evicted pod is not removed", "pod", w.ref.String(), "uid", string(w.uid), "err", err)
		}
		return
	}
	if !exists(w.r.cfg.evictedPath(w.uid)) { // the disk was full then
		if err := w.r.markEvicted(w.uid, w.o.Failed); err != nil {
			w.r.log.Warn("it is not written down that a pod is evicted", "pod", w.ref.String(), "err", err)
		}
	}
	w.o.Cleanup = Attempt{}
	w.o.Left = true
	w.leaving.Store(left)
	w.r.guard.Ring()
}

// evicted remembers over a crash and a reboot that a Pod was evicted, whatever of its status was lost.
type evicted struct {
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Until   time.Time `json:"until,omitzero"`
}

func (c *Config) evictedPath(uid types.UID) string {
	return filepath.Join(c.DataDir, "evicted", string(uid))
}

func (r *Runtime) markEvicted(uid types.UID, f *Failure) error {
	data, err := json.Marshal(evicted{Reason: f.Reason, Message: f.Message, Until: f.Until})
	if err != nil {
		return err
	}
	path := r.cfg.evictedPath(uid)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return disk.Replace(path, data)
}

// wasEvicted is why a Pod was evicted before this daemon began, nil if it was not.
func (r *Runtime) wasEvicted(uid types.UID) *Failure {
	data, err := os.ReadFile(r.cfg.evictedPath(uid))
	var e evicted
	if err != nil || json.Unmarshal(data, &e) != nil {
		return nil
	}
	return &Failure{Reason: e.Reason, Message: e.Message, Until: e.Until, Leave: true}
}

// rememberEviction takes up an eviction that an earlier daemon began.
func (w *worker) rememberEviction() {
	f := w.r.wasEvicted(w.uid)
	if f == nil {
		return
	}
	w.o.Failed = f
	w.leaving.Store(leaves)
	if !exists(w.paths.run) && !exists(w.paths.data) {
		w.o.Left = true
		w.leaving.Store(left)
	}
}

// forgetEvicted is for a Pod whose record goes.
func (r *Runtime) forgetEvicted(uid types.UID) error {
	if err := os.Remove(r.cfg.evictedPath(uid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweepEvicted forgets the evictions of Pods that are not in the World any more.
func (r *Runtime) sweepEvicted(known map[types.UID]bool) {
	entries, err := os.ReadDir(filepath.Join(r.cfg.DataDir, "evicted"))
	if err != nil {
		return // nobody was
	}
	for _, e := range entries {
		if uid := types.UID(e.Name()); !known[uid] {
			if err := r.forgetEvicted(uid); err != nil {
				r.log.Warn("an eviction is not forgotten", "uid", e.Name(), "err", err)
			}
		}
	}
}
