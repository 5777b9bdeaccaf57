package runtime

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/runtime/shim"
	"writ/state"
)

// publish states the Pod's status if it is another than before.
func (w *worker) publish() {
	defer w.settle()
	if w.desired.Gone {
		w.snapshot()
		return
	}
	now := time.Now()
	for name, oc := range w.o.Containers {
		if !oc.Run.Exited() || w.desired.Deletion != nil || w.o.Failed != nil {
			continue
		}
		if c := w.spec(name); c != nil {
			if level, due := next(w.desired.Pod, c, oc); level >= 0 && now.Before(due) && !resets(c, oc.Run) {
				w.backedOff(name, oc.Run.ID)
			}
		}
	}
	w.completed()
	w.showDevices()
	status := Status(&w.desired, &w.o, w.reported, w.r.cfg.NodeIP.String(), now)
	changed := !equality.Semantic.DeepEqual(status, w.reported)
	if w.sent && !changed {
		w.snapshot()
		return
	}
	w.sent, w.reported = true, status
	w.desired.Started = status.StartTime
	w.snapshot()
	if changed {
		w.r.reports.add(report{ref: w.ref, uid: w.uid, status: status})
	}
}

// snapshot shows the Pod to others.
func (w *worker) snapshot() {
	s := &Snapshot{next: make(chan struct{}), Pod: w.desired.Pod, Status: w.reported, Containers: make(map[string]ContainerSnapshot, len(w.o.Containers))}
	for name, oc := range w.o.Containers {
		var c ContainerSnapshot
		if oc.Run != nil {
			c.ID, c.ImageID = oc.Run.ID, oc.Run.Labels[labelImageID]
			c.LogPath, c.Running = oc.Run.LogPath, oc.Run.Status == shim.StatusRunning
		}
		if oc.Image.Image != nil { // of a volume, or of the next run: it is in use
			c.NextImageID = oc.Image.Image.ID
		}
		if oc.Last != nil {
			c.PreviousLogPath = oc.Last.LogPath
		}
		s.Containers[name] = c
	}
	if old := w.shown.Swap(s); old != nil {
		close(old.next)
	}
}

type report struct {
	ref    manifest.Ref
	uid    types.UID
	status *corev1.PodStatus
}

// reporter states what workers observed: whatever came while one Batch was on its
// way goes with the next, the newest of each Pod.
type reporter struct {
	mu      sync.Mutex
	pending map[types.UID]report
	looked  []types.UID // settled once what is pending of them is stated
	bell    chan struct{}
}

func newReporter() *reporter {
	return &reporter{pending: map[types.UID]report{}, bell: make(chan struct{}, 1)}
}

func (p *reporter) add(r report) {
	p.mu.Lock()
	p.pending[r.uid] = r
	p.mu.Unlock()
	p.ring()
}

// settled says that a Pod's readiness is known, as soon as all that was observed of it is stated.
func (p *reporter) settled(uid types.UID) {
	p.mu.Lock()
	p.looked = append(p.looked, uid)
	p.mu.Unlock()
	p.ring()
}

func (p *reporter) ring() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

func (p *reporter) take() (reports []report, looked []types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	looked, p.looked = p.looked, nil
	out := make([]report, 0, len(p.pending))
	for _, uid := range slices.Sorted(maps.Keys(p.pending)) {
		out = append(out, p.pending[uid])
	}
	clear(p.pending)
	return out, looked
}

// back puts back what could not be stated, unless there is something newer.
func (p *reporter) back(reports []report, looked []types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = append(p.looked, looked...)
	for _, r := range reports {
		if _, newer := p.pending[r.uid]; !newer {
			p.pending[r.uid] = r
		}
	}
}

// run proposes until ctx ends.
func (p *reporter) run(ctx context.Context, r *Runtime) {
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-p.bell:
		}
		reports, looked := p.take()
		if len(reports) == 0 {
			r.settling.done(looked...)
			continue
		}
		b := state.Batch{Writer: state.NodeWriter(r.cfg.Node), Now: time.Now()}
		for _, one := range reports {
			b.Puts = append(b.Puts, state.Put{Ref: one.ref, UID: one.uid, Status: one.status, Why: "observed"})
		}
		if _, err := r.feed.Propose(ctx, b); err != nil {
			if ctx.Err() != nil {
				return
			}
			failures++
			r.log.Warn("pod status is not stated", "pods", len(reports), "err", err)
			p.back(reports, looked)
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryDelay(failures)):
			}
			p.ring()
			continue
		}
		r.settling.done(looked...)
		failures = 0
	}
}
