package reconcile

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// DefaultEndedPods is upstream's terminated-pod-gc-threshold.
const DefaultEndedPods = 12500

// litters says that a Pod has ended and is not missed: nobody wrote it down.
func litters(r *state.Record) bool {
	return r.Origin != state.Authored && r.Deletion == nil && terminal(r)
}

// collectEnded deletes Pods that have ended once there are too many of them, evicted ones first and then the
// oldest, as upstream's garbage collector.
func (d *draft) collectEnded() {
	most := cmp.Or(d.options.EndedPods, DefaultEndedPods)
	if most < 0 || len(d.capacity.ended) <= most {
		return
	}
	list := make([]*state.Record, 0, len(d.capacity.ended))
	for ref := range d.capacity.ended {
		if r := d.w.Get(ref); r != nil && litters(r) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *state.Record) int {
		return cmp.Or(byEviction(a, b), a.Created.Compare(b.Created), a.Ref.Compare(b.Ref))
	})
	puts := make([]state.Put, 0, max(len(list)-most, 0))
	for _, r := range list[:max(len(list)-most, 0)] {
		const why = "more pods have ended than are kept"
		puts = append(puts, state.Put{Ref: r.Ref, Deletion: &state.Deletion{At: d.now, Reason: why}, Why: why})
	}
	d.put(puts...)
}

// byEviction orders evicted Pods before others.
func byEviction(a, b *state.Record) int {
	evicted := func(r *state.Record) int {
		if s := r.PodStatus(); s.Phase == corev1.PodFailed && s.Reason == "Evicted" {
			return 0
		}
		return 1
	}
	return cmp.Compare(evicted(a), evicted(b))
}
