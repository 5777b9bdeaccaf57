package runtime

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"

	"writ/runtime/guard"
	"writ/runtime/pressure"
	"writ/runtime/usage"
)

// newGuard makes what keeps this node healthy. The settings were validated.
func (r *Runtime) newGuard() (*guard.Guard, error) {
	c, err := r.cfg.Eviction.Parse()
	if err != nil {
		return nil, fmt.Errorf("eviction: %w", err)
	}
	n, err := usage.Read(r.cfg.DataDir, r.imagesDir())
	if err != nil {
		return nil, err
	}
	c.ImageFs = !n.Shared
	r.eviction = c
	g := &guarded{r}
	stalls := guard.Stalls(guard.WatchStalls)
	if r.cfg.levels != nil {
		stalls = nil // they would be this machine's
	}
	return guard.New(c, g, g, stalls, r.node.ring, r.log), nil
}

// imagesDir is where images lie: below the data directory, unless something is mounted there.
func (r *Runtime) imagesDir() string {
	if dir := filepath.Join(r.cfg.DataDir, "layers"); exists(dir) {
		return dir
	}
	return r.cfg.DataDir
}

// guarded is the node as its guard sees it: guard.Node and guard.Hands.
type guarded struct{ r *Runtime }

// Levels are the node's own numbers.
func (g *guarded) Levels() (pressure.Levels, error) {
	if g.r.cfg.levels != nil {
		return g.r.cfg.levels()
	}
	n, err := usage.Read(g.r.cfg.DataDir, g.r.imagesDir())
	return n.Levels, err
}

// eachShown goes over the Pods that were looked at.
func (r *Runtime) eachShown(do func(w *worker, s *Snapshot)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		if s := w.shown.Load(); s != nil && s.Pod != nil {
			do(w, s)
		}
	}
}

// Pods are those that may be evicted, and those that were and of which something is left.
func (g *guarded) Pods() []pressure.Pod {
	var out []pressure.Pod
	g.r.eachShown(func(w *worker, s *Snapshot) {
		switch leaving := w.leaving.Load(); {
		case leaving == left:
		case leaving == leaves:
			out = append(out, pressure.Pod{Object: s.Pod, Ending: true})
		case !s.over(): // also one that is deleted: it may take its time
			out = append(out, pressure.Pod{Object: s.Pod})
		}
	})
	return out
}

// over says that the Pod has ended by itself.
func (s *Snapshot) over() bool {
	return s.Status != nil && (s.Status.Phase == corev1.PodSucceeded || s.Status.Phase == corev1.PodFailed)
}

// Limited are those that may use only so much of the disk.
func (g *guarded) Limited() []*corev1.Pod {
	var out []*corev1.Pod
	g.r.eachShown(func(w *worker, s *Snapshot) {
		if w.limited && w.leaving.Load() == stays && !w.ending.Load() && !s.over() {
			out = append(out, s.Pod)
		}
	})
	return out
}

// Usage measures one Pod.
func (g *guarded) Usage(ctx context.Context, pod *corev1.Pod, disk, gently bool) (*pressure.Usage, error) {
	g.r.mu.Lock()
	w := g.r.workers[pod.UID]
	g.r.mu.Unlock()
	if w == nil {
		return nil, fmt.Errorf("pod %s/%s is gone", pod.Namespace, pod.Name)
	}
	s := w.shown.Load()
	if disk {
		return w.disk(ctx, s, gently)
	}
	return g.r.groups(pod.UID, s)
}

// groups is what the Pod's control groups use.
func (r *Runtime) groups(uid types.UID, s *Snapshot) (*pressure.Usage, error) {
	all, err := usage.Cgroup(r.cfg.cgroup(uid))
	if err != nil {
		return nil, err
	}
	u := &pressure.Usage{Memory: all.Memory, PIDs: all.PIDs}
	for name, c := range s.Containers {
		if !c.Running {
			continue
		}
		if one, err := usage.Cgroup(r.cfg.cgroup(uid) + "/" + c.ID); err == nil { // it may have ended
			u.Containers = append(u.Containers, pressure.ContainerUsage{Name: name, Memory: one.Memory})
		}
	}
	return u, nil
}

// disk is what the Pod's files take: the layers of its containers, their logs, and its volumes.
func (w *worker) disk(ctx context.Context, s *Snapshot, gently bool) (*pressure.Usage, error) {
	u := &pressure.Usage{Volumes: map[string]pressure.Use{}}
	var errs []error
	measure := func(dir string) pressure.Use {
		use, err := usage.Disk(ctx, dir, gently)
		errs = append(errs, err)
		return use
	}
	for name, c := range s.Containers {
		if c.ID == "" {
			continue
		}
		u.Containers = append(u.Containers, pressure.ContainerUsage{
			Name: name, Root: measure(filepath.Join(w.paths.container(c.ID), "upper")), Logs: measure(filepath.Join(w.paths.logs, name)),
		})
	}
	for i := range s.Pod.Spec.Volumes {
		if v := &s.Pod.Spec.Volumes[i]; pressure.OnDisk(v) {
			u.Volumes[v.Name] = measure(w.volumeSet().Path(v.Name))
		}
	}
	return u, errors.Join(errs...)
}

// Starved tells people.
func (g *guarded) Starved(name corev1.ResourceName) {
	g.r.nodeEvent(corev1.EventTypeWarning, "EvictionThresholdMet", "Attempting to reclaim %s", name)
}

// Evict begins to end a Pod.
func (g *guarded) Evict(e *pressure.Eviction) {
	g.r.mu.Lock()
	w := g.r.workers[e.UID]
	g.r.mu.Unlock()
	if w != nil && w.leaving.CompareAndSwap(stays, leaves) { // one that hangs is not chosen again
		w.post(func() { w.evict(e) })
	}
}

// refusePressure refuses a Pod that came while the node is short of something; placement knows of that a
// moment later. What runs here already is not asked.
func refusePressure(conditions []corev1.NodeConditionType, pod *corev1.Pod) *rejection {
	if len(conditions) == 0 || pressure.Critical(pod) {
		return nil
	}
	if len(conditions) == 1 && conditions[0] == corev1.NodeMemoryPressure {
		copes := slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
			all := t.Key == "" && t.Operator == corev1.TolerationOpExists
			return (all || t.Key == corev1.TaintNodeMemoryPressure && t.Value == "") && (t.Effect == "" || t.Effect == corev1.TaintEffectNoSchedule)
		})
		if copes || qos.GetPodQOS(pod) != corev1.PodQOSBestEffort {
			return nil
		}
	}
	return &rejection{pressure.Reason, fmt.Sprintf("The node had condition: %v. ", conditions)}
}
