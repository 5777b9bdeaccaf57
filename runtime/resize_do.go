package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	resourcehelper "k8s.io/component-helpers/resource"

	"writ/disk"
	"writ/runtime/oci"
	"writ/runtime/shim"
	"writ/state"
)

// resizeRetry is how long a resize that the node has no room for waits before it is looked at again; room that is
// made by a Pod of this node that goes is noticed at once.
const resizeRetry = 30 * time.Second

func (p podPaths) resources() string { return filepath.Join(p.data, "resources") }

// allot gives the Pod the resources that the node has set aside for it, after it looked whether it can have those
// that it is to have.
func (w *worker) allot(pod *corev1.Pod) *corev1.Pod {
	r := w.o.Resize
	if r == nil {
		r = w.loadResize(pod)
		w.o.Resize = r
	}
	want := allotmentOf(&pod.Spec)
	switch {
	case w.record.Deletion != nil, w.desired.Gone, w.o.Failed != nil, (&Snapshot{Status: w.reported}).over():
	case want.equal(r.Allocated):
		if r.Pending != nil {
			r.Pending = nil
			w.saveResize()
		}
	case r.Pending == nil || r.Pending.Generation != pod.Generation || !time.Now().Before(r.Retry):
		w.decide(pod, want)
	}
	w.r.allotted(w.uid, r, pod)
	return r.Allocated.give(pod)
}

// loadResize is what an earlier daemon wrote down, else that the Pod has what it had when it was last seen.
func (w *worker) loadResize(pod *corev1.Pod) *Resize {
	r := &Resize{}
	data, err := os.ReadFile(w.paths.resources())
	if err == nil && json.Unmarshal(data, r) == nil && r.Allocated.Containers != nil {
		return r
	}
	spec := &pod.Spec
	if exists(w.paths.run) {
		if rec := w.r.remembered(w.uid); rec != nil {
			spec = &rec.Pod().Spec
		}
	}
	r.Allocated, r.Actuated = allotmentOf(spec), allotmentOf(spec)
	return r
}

// saveResize writes down what must be known of a running Pod. What a loss of power takes from it does not run either.
func (w *worker) saveResize() {
	data, err := json.Marshal(w.o.Resize)
	if err == nil {
		err = os.MkdirAll(w.paths.data, 0o700)
	}
	if err == nil {
		err = disk.ReplaceUnsynced(w.paths.resources(), data)
	}
	if err != nil {
		w.r.log.Warn("resources of a pod are not written down", "pod", w.ref.String(), "err", err)
	}
}

// decide sets resources aside, or says why not.
func (w *worker) decide(pod *corev1.Pod, want Allotment) {
	r := w.o.Resize
	reason, message := w.r.setAside(w.uid, pod, r)
	if reason == "" {
		r.Allocated, r.Pending, r.Failures, r.Retry = want, nil, 0, time.Time{}
		r.Progress = &Held{Generation: pod.Generation}
		w.saveResize()
		w.task(func() { w.r.freed(w.uid) }) // it may have less now
		w.event(corev1.EventTypeNormal, "ResizeStarted", "Pod resize started: %s", summary(pod, pod.Generation, ""))
		return
	}
	r.Retry = time.Now().Add(resizeRetry)
	news := r.Pending == nil || r.Pending.Reason != reason || r.Pending.Generation != pod.Generation
	r.Pending = &Held{Reason: reason, Message: message, Generation: pod.Generation}
	if news {
		w.saveResize()
		w.event(corev1.EventTypeWarning, "Resize"+reason, "Pod resize %s: %s", reason, summary(pod, pod.Generation, message))
	}
}

// setAside asks whether a Pod can have what its manifest says. One Pod is looked at at a time.
func (r *Runtime) setAside(own types.UID, pod *corev1.Pod, was *Resize) (reason, message string) {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	if r.swaps(was.Allocated.give(pod), pod) {
		return corev1.PodReasonInfeasible, "In-place resize of containers with swap is not supported."
	}
	used := corev1.ResourceList{}
	for rec := range r.view().Pods() {
		if rec.UID == own || spent(rec) {
			continue
		}
		list, differs := r.ledger.pods[rec.UID]
		if !differs {
			list = resourcehelper.PodRequests(rec.Pod(), resourcehelper.PodResourcesOptions{})
		}
		for name, q := range list {
			sum := used[name]
			sum.Add(q)
			used[name] = sum
		}
	}
	return fits(pod, r.allocatable(), used)
}

// swaps says that a change of memory would change how much a container swaps, which nothing can do while it runs.
func (r *Runtime) swaps(from, to *corev1.Pod) bool {
	for c := range resizable(&to.Spec) {
		old := oci.Container(&from.Spec, c.Name)
		if old == nil || old.Resources.Requests.Memory().Equal(*c.Resources.Requests.Memory()) || resizePolicy(old, corev1.ResourceMemory) == corev1.RestartContainer {
			continue
		}
		if oci.SwapShare(&r.machine, from, old) > 0 || oci.SwapShare(&r.machine, to, c) > 0 {
			return true
		}
	}
	return false
}

// resize brings the cgroups of the Pod and of its containers to what is set aside. What needs a restart is not
// touched: the container starts with it.
func (w *worker) resize() {
	r := w.o.Resize
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	if err := w.actuate(ctx); err != nil {
		if w.ctx.Err() != nil {
			return
		}
		r.Failures++
		r.Retry = time.Now().Add(retryDelay(r.Failures))
		if r.Progress == nil {
			r.Progress = &Held{Generation: w.desired.Pod.Generation}
		}
		if r.Progress.Reason != corev1.PodReasonError || r.Progress.Message != err.Error() {
			r.Progress.Reason, r.Progress.Message = corev1.PodReasonError, err.Error()
			w.event(corev1.EventTypeWarning, "ResizeError", "Pod resize error: %s", summary(w.desired.Pod, r.Progress.Generation, err.Error()))
		}
		w.saveResize()
		return
	}
	r.Failures, r.Retry = 0, time.Time{}
	w.saveResize()
}

// completed tells once that a resize is done.
func (w *worker) completed() {
	r := w.o.Resize
	if r == nil || r.Progress == nil || !r.settled(w.desired.Pod, &w.o) {
		return
	}
	generation := r.Progress.Generation
	r.Progress = nil
	w.saveResize()
	w.event(corev1.EventTypeNormal, "ResizeCompleted", "Pod resize completed: %s", summary(w.desired.Pod, generation, ""))
}

func (w *worker) actuate(ctx context.Context) error {
	m, pod, r := &w.r.machine, w.desired.Pod, w.o.Resize
	before := r.Actuated.give(pod)
	is, to := oci.PodResources(m, before), oci.PodResources(m, pod)
	var change []*corev1.Container
	for c := range resizable(&pod.Spec) {
		if oc := w.o.Containers[c.Name]; oc != nil && oc.Run.Running() && r.adjustment(c) == AdjustUpdate {
			change = append(change, c)
		}
	}
	if err := w.checkMemory(ctx, is, to, before, change); err != nil {
		return err
	}
	if err := w.bound(ctx, "", wider(is, to)); err != nil {
		return err
	}
	slices.SortStableFunc(change, func(a, b *corev1.Container) int { // what shrinks makes room first
		return grows(before, a) - grows(before, b)
	})
	for _, c := range change {
		if err := w.bound(ctx, w.o.Containers[c.Name].Run.ID, oci.ContainerResources(m, pod, c)); err != nil {
			return fmt.Errorf("container %s: %w", c.Name, err)
		}
		r.Actuated.Containers[c.Name] = *c.Resources.DeepCopy()
	}
	if err := w.bound(ctx, "", to); err != nil {
		return err
	}
	r.Actuated.Pod = r.Allocated.Pod.DeepCopy()
	return nil
}

// grows is 1 for a container whose memory limit grows, else 0.
func grows(before *corev1.Pod, c *corev1.Container) int {
	old := oci.Container(&before.Spec, c.Name)
	if old != nil && c.Resources.Limits.Memory().Cmp(*old.Resources.Limits.Memory()) > 0 {
		return 1
	}
	return 0
}

// bound has the shim write the limits of the Pod's cgroup, or of a container's.
func (w *worker) bound(ctx context.Context, id string, r *specs.LinuxResources) error {
	return w.shim.Update(ctx, shim.UpdateRequest{ID: id, Resources: &specs.LinuxResources{CPU: r.CPU, Memory: r.Memory, Unified: r.Unified}})
}

// wider is at each point the larger of two limits: what containers fit into before and after. A limit that only one
// has is left to the end.
func wider(a, b *specs.LinuxResources) *specs.LinuxResources {
	out := &specs.LinuxResources{CPU: &specs.LinuxCPU{}}
	shares := max(*a.CPU.Shares, *b.CPU.Shares)
	out.CPU.Shares = &shares
	if a.CPU.Quota != nil && b.CPU.Quota != nil {
		quota := max(*a.CPU.Quota, *b.CPU.Quota)
		out.CPU.Quota, out.CPU.Period = &quota, b.CPU.Period
	}
	if a.Memory != nil && b.Memory != nil {
		limit := max(*a.Memory.Limit, *b.Memory.Limit)
		out.Memory = &specs.LinuxMemory{Limit: &limit}
		if b.Memory.Swap != nil {
			out.Memory.Swap = &limit
		}
	}
	return out
}

// checkMemory refuses a limit below what is in use: the kernel would kill for it.
func (w *worker) checkMemory(ctx context.Context, is, to *specs.LinuxResources, before *corev1.Pod, change []*corev1.Container) error {
	podShrinks := to.Memory != nil && (is.Memory == nil || *to.Memory.Limit < *is.Memory.Limit)
	shrinks := map[string]int64{}
	for _, c := range change {
		old := oci.Container(&before.Spec, c.Name)
		limits, had := oci.ContainerLimits(w.desired.Pod, c), oci.ContainerLimits(before, old)
		if limit := limits.Memory().Value(); limit > 0 && (had.Memory().IsZero() || limit < had.Memory().Value()) {
			shrinks[c.Name] = limit
		}
	}
	if !podShrinks && len(shrinks) == 0 {
		return nil
	}
	stats, err := w.shim.Stats(ctx)
	if err != nil {
		return fmt.Errorf("unable to read memory usage for pod %q: %w", w.podFormat(), err)
	}
	var errs []error
	if podShrinks && stats.Pod != nil && stats.Pod.MemoryUsage >= uint64(*to.Memory.Limit) {
		errs = append(errs, fmt.Errorf("attempting to set pod memory limit (%d) below current usage (%d)", *to.Memory.Limit, stats.Pod.MemoryUsage))
	}
	for _, s := range stats.Containers {
		if limit, ok := shrinks[s.Name]; ok && s.MemoryUsage >= uint64(limit) {
			errs = append(errs, fmt.Errorf("attempting to set container %q memory limit (%d) below current usage (%d)", s.Name, limit, s.MemoryUsage))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("cannot decrease memory limits: %w", utilerrors.NewAggregate(errs))
}

// widen makes room in the Pod's cgroup for a container that starts with more than it had.
func (w *worker) widen(c *corev1.Container) {
	if w.o.Resize.adjustment(c) == AdjustNone {
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	m, pod := &w.r.machine, w.desired.Pod
	if err := w.bound(ctx, "", wider(oci.PodResources(m, w.o.Resize.Actuated.give(pod)), oci.PodResources(m, pod))); err != nil {
		w.r.log.Warn("pod has no room for a resized container", "pod", w.ref.String(), "container", c.Name, "err", err)
	}
}

// actuated notes that a container was started with what is set aside for it.
func (w *worker) actuated(c *corev1.Container) {
	r := w.o.Resize
	if r.adjustment(c) == AdjustNone {
		return
	}
	r.Actuated.Containers[c.Name] = *c.Resources.DeepCopy()
	w.resize() // the Pod's own cgroup
}

// ledger is what Pods have where that is not what their manifests say.
type ledger struct {
	mu   sync.Mutex
	pods map[types.UID]corev1.ResourceList
}

// allotted tells the other Pods what one has.
func (r *Runtime) allotted(uid types.UID, a *Resize, pod *corev1.Pod) {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	if a.Pending == nil {
		delete(r.ledger.pods, uid)
		return
	}
	if r.ledger.pods == nil {
		r.ledger.pods = map[types.UID]corev1.ResourceList{}
	}
	r.ledger.pods[uid] = resourcehelper.PodRequests(a.Allocated.give(pod), resourcehelper.PodResourcesOptions{})
}

// spent says that the World knows that a Pod uses nothing any more.
func spent(rec *state.Record) bool {
	s := rec.PodStatus()
	return (&Snapshot{Status: s}).over() || state.PodIs(s, state.PodStopped)
}

// freed has Pods that wait for room look again: one is gone, has ended, or has less than before.
func (r *Runtime) freed(uid types.UID) {
	r.ledger.mu.Lock()
	delete(r.ledger.pods, uid)
	waiting := slices.Collect(maps.Keys(r.ledger.pods))
	r.ledger.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, uid := range waiting {
		if w := r.workers[uid]; w != nil {
			w.post(func() { w.o.Resize.Retry = time.Time{} })
		}
	}
}
