package runtime

import (
	"fmt"
	"maps"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// settling are the Pods that an earlier daemon left running and of which it is not known anew whether
// they are ready. What the World says of those may be older than what runs.
type settling struct {
	mu   sync.Mutex
	pods map[string]bool
	next chan struct{} // closed when there are fewer; nil when there are none
}

// find takes every Pod that has a shim's directory.
func (s *settling) find(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list sandboxes: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = map[string]bool{}
	for _, e := range entries {
		s.pods[e.Name()] = true
	}
	if len(s.pods) > 0 {
		s.next = make(chan struct{})
	}
	return nil
}

func (s *settling) done(uids ...types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.pods)
	for _, uid := range uids {
		delete(s.pods, string(uid))
	}
	if len(s.pods) == before {
		return
	}
	close(s.next)
	if s.next = nil; len(s.pods) > 0 {
		s.next = make(chan struct{})
	}
}

// Settling tells, by UID, the Pods that were found at the start and whose readiness is not known
// anew: their containers were not looked at, or not probed, or the World was not told. changed
// is closed when there are fewer; it is nil when there are none.
func (r *Runtime) Settling() (pods map[string]bool, changed <-chan struct{}) {
	r.settling.mu.Lock()
	defer r.settling.mu.Unlock()
	return maps.Clone(r.settling.pods), r.settling.next
}

// settle tells once that the Pod's readiness is known.
func (w *worker) settle() {
	if w.settled || !w.known() {
		return
	}
	w.settled = true
	w.r.reports.settled(w.uid)
}

// known says that this daemon knows of itself whether the Pod is ready.
func (w *worker) known() bool {
	if w.ending.Load() || w.o.Failed != nil {
		return true
	}
	if !w.o.Sandbox.Done {
		return w.o.Sandbox.Failures > 0
	}
	spec := &w.desired.Pod.Spec
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; sidecar(c) && !w.judged(c) {
			return false
		}
	}
	for i := range spec.Containers {
		if !w.judged(&spec.Containers[i]) {
			return false
		}
	}
	return true
}

// judged says that a container does not run, is not asked, or was asked since this daemon runs.
func (w *worker) judged(c *corev1.Container) bool {
	oc := w.o.Containers[c.Name]
	if oc == nil || !oc.Run.Running() || oc.Kill != nil {
		return true
	}
	asked := c.ReadinessProbe != nil || c.StartupProbe != nil && !oc.Passed
	return oc.Judged || !asked
}
