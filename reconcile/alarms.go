package reconcile

import (
	"container/heap"
	"time"
)

// alarms are the times at which time alone makes keys due, one for a key. To look at the first, or at those that are
// over, costs nothing for the others: there may be one for each Job that ever ended.
type alarms struct {
	at   map[Key]time.Time
	heap alarmHeap // with alarms that at no longer has
}

type alarm struct {
	key Key
	at  time.Time
}

func newAlarms() alarms { return alarms{at: map[Key]time.Time{}} }

func (a *alarms) set(k Key, t time.Time) {
	if now, ok := a.at[k]; ok && now.Equal(t) {
		return
	}
	a.at[k] = t
	heap.Push(&a.heap, alarm{k, t})
	a.tidy()
}

func (a *alarms) drop(k Key) {
	delete(a.at, k)
	a.tidy()
}

// first is the earliest; zero if there is none.
func (a *alarms) first() time.Time {
	for len(a.heap) > 0 {
		if a.rings(a.heap[0]) {
			return a.heap[0].at
		}
		heap.Pop(&a.heap)
	}
	return time.Time{}
}

// over yields the keys whose time has come. It drops none.
func (a *alarms) over(now time.Time, yield func(Key)) { a.overFrom(0, now, yield) }

// overFrom looks at the heap from an entry on: what is below a later one is later still.
func (a *alarms) overFrom(i int, now time.Time, yield func(Key)) {
	if i >= len(a.heap) || a.heap[i].at.After(now) {
		return
	}
	if a.rings(a.heap[i]) {
		yield(a.heap[i].key)
	}
	a.overFrom(2*i+1, now, yield)
	a.overFrom(2*i+2, now, yield)
}

// rings says that an entry of the heap holds still.
func (a *alarms) rings(x alarm) bool {
	t, ok := a.at[x.key]
	return ok && t.Equal(x.at)
}

// tidy leaves out of the heap what no longer holds, once that is most of it.
func (a *alarms) tidy() {
	if len(a.heap) <= 2*len(a.at)+64 {
		return
	}
	a.heap = a.heap[:0]
	for k, t := range a.at {
		a.heap = append(a.heap, alarm{k, t})
	}
	heap.Init(&a.heap)
}

type alarmHeap []alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *alarmHeap) Push(x any)        { *h = append(*h, x.(alarm)) }
func (h *alarmHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
