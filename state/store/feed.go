package store

import (
	"sync"
	"sync/atomic"

	"writ/state"
)

// feed is what readers see: the World, and the changes that led to it, as far back as fits.
type feed struct {
	limit  int           // bytes of changes
	passed chan struct{} // always closed

	current atomic.Pointer[state.World]

	mu     sync.Mutex
	moved  chan struct{} // closed when the World moves on
	recent []step
	bytes  int
	floor  state.Revision // changes after it are all in recent
}

// step is what one Batch changed.
type step struct {
	revision state.Revision
	changes  []state.Change
	bytes    int
}

func newFeed(w *state.World, limit int) *feed {
	f := &feed{limit: limit, passed: make(chan struct{}), moved: make(chan struct{}), floor: w.Revision()}
	close(f.passed)
	f.current.Store(w)
	return f
}

func (f *feed) world() *state.World { return f.current.Load() }

// publish moves the World on by the steps.
func (f *feed) publish(w *state.World, steps []step) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range steps {
		f.recent = append(f.recent, s)
		f.bytes += s.bytes
	}
	drop := 0
	for f.bytes > f.limit {
		f.bytes -= f.recent[drop].bytes
		f.floor = f.recent[drop].revision
		f.recent[drop] = step{}
		drop++
	}
	f.recent = f.recent[drop:]
	f.current.Store(w)
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *feed) since(rev state.Revision) ([]state.Change, *state.World, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.current.Load()
	if rev < f.floor || rev > w.Revision() {
		return nil, w, false
	}
	from := len(f.recent)
	n := 0
	for from > 0 && f.recent[from-1].revision > rev {
		from--
		n += len(f.recent[from].changes)
	}
	if n == 0 {
		return nil, w, true
	}
	changes := make([]state.Change, 0, n)
	for _, s := range f.recent[from:] {
		changes = append(changes, s.changes...)
	}
	return changes, w, true
}

func (f *feed) changed(rev state.Revision) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current.Load().Revision() > rev {
		return f.passed
	}
	return f.moved
}

// What a struct takes beyond its stored form, in bytes, which leaves out what is empty: measured with Pods.
const (
	emptyObject = 2600
	emptyStatus = 1500
)

// weigh is about how many bytes the changes of a step hold in memory that the World does not: what
// was there before. What came is the World's, until a later step replaces it.
func weigh(changes []state.Change) int {
	bytes := 128
	for i := range changes {
		bytes += 512 // the change and the record
		old, now := changes[i].Old, changes[i].New
		if old == nil {
			continue
		}
		if now == nil || now.Object != old.Object {
			bytes += emptyObject + size(old.Object)
		}
		if old.Status != nil && (now == nil || now.Status != old.Status) {
			bytes += emptyStatus + size(old.Status)
		}
	}
	return bytes
}

func size(v any) int {
	switch v := v.(type) {
	case nil:
		return 0
	case interface{ Size() int }:
		return v.Size()
	}
	return 2048 // a custom resource
}
