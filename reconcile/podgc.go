package reconcile

import (
	"cmp"
	"container/heap"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
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
	if most < 0 {
		return
	}
	var puts []state.Put
	for d.capacity.ended.Len() > most {
		const why = "more pods have ended than are kept"
		puts = append(puts, state.Put{Ref: d.capacity.ended.first(), Deletion: &state.Deletion{At: d.now, Reason: why}, Why: why})
	}
	d.put(puts...)
}

// litterer is a Pod that has ended and may be collected.
type litterer struct {
	ref     manifest.Ref
	evicted bool
	created time.Time
	at      int // its place in littering.heap
}

// compare orders evicted Pods before others, then the older before the younger.
func (l *litterer) compare(o *litterer) int {
	switch {
	case l.evicted && !o.evicted:
		return -1
	case !l.evicted && o.evicted:
		return 1
	}
	return cmp.Or(l.created.Compare(o.created), l.ref.Compare(o.ref))
}

// littering are the Pods that have ended and may be collected, a heap with who goes first on top: one more that
// ends costs no look at all of them. The zero value is empty.
type littering struct {
	heap []*litterer
	by   map[manifest.Ref]*litterer
}

// set takes in what a Pod is now, nil if it is no more.
func (l *littering) set(ref manifest.Ref, r *state.Record) {
	old := l.by[ref]
	if r == nil || !litters(r) {
		if old != nil {
			heap.Remove(l, old.at)
		}
		return
	}
	s := r.PodStatus()
	now := &litterer{ref: ref, evicted: s.Phase == corev1.PodFailed && s.Reason == "Evicted", created: r.Created}
	switch {
	case old == nil:
		heap.Push(l, now)
	case old.compare(now) != 0:
		old.evicted, old.created = now.evicted, now.created
		heap.Fix(l, old.at)
	}
}

// first takes out who goes first.
func (l *littering) first() manifest.Ref { return heap.Pop(l).(*litterer).ref }

// The five methods of heap.Interface.

func (l *littering) Len() int           { return len(l.heap) }
func (l *littering) Less(i, j int) bool { return l.heap[i].compare(l.heap[j]) < 0 }

func (l *littering) Swap(i, j int) {
	l.heap[i], l.heap[j] = l.heap[j], l.heap[i]
	l.heap[i].at, l.heap[j].at = i, j
}

func (l *littering) Push(x any) {
	one := x.(*litterer)
	if l.by == nil {
		l.by = map[manifest.Ref]*litterer{}
	}
	one.at = len(l.heap)
	l.heap, l.by[one.ref] = append(l.heap, one), one
}

func (l *littering) Pop() any {
	last := len(l.heap) - 1
	one := l.heap[last]
	l.heap[last] = nil
	l.heap = l.heap[:last]
	delete(l.by, one.ref)
	return one
}
