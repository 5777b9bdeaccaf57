package network

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"writ/manifest"
	"writ/state"
)

const self = state.Node("node-1")

// fakeFeed is a World that tests change, with every change since its beginning.
type fakeFeed struct {
	t       testing.TB
	mu      sync.Mutex
	world   *state.World
	changes []state.Change
	next    chan struct{} // closed by the next change
	acks    []state.Revision
	failing error // what Propose answers
	forget  bool  // Since knows nothing
}

func newFeed(t testing.TB) *fakeFeed {
	f := &fakeFeed{t: t, world: state.NewWorld(uuid.MustParse("9f1f0b1e-3a69-4c53-9f0e-6a4bfb7f3f10")), next: make(chan struct{})}
	f.adopt(manifest.ClusterSpec{})
	return f
}

func (f *fakeFeed) adopt(spec manifest.ClusterSpec, puts ...state.Put) state.Revision {
	return f.apply(state.Batch{
		Writer: state.WriterReconcile, Puts: puts,
		Adopt: &state.Adoption{Commit: "1111111111111111111111111111111111111111", Settings: manifest.Cluster{Spec: spec}},
	})
}

func (f *fakeFeed) apply(b state.Batch) state.Revision {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	rev, err := f.applyLocked(b)
	if err != nil {
		f.t.Fatalf("apply batch: %v", err)
	}
	return rev
}

func (f *fakeFeed) applyLocked(b state.Batch) (state.Revision, error) {
	b.Now = time.Unix(1_700_000_000, 0)
	w, changes, err := state.Apply(f.world, b, f.world.Revision()+1)
	if err != nil {
		return 0, err
	}
	f.world, f.changes = w, append(f.changes, changes...)
	close(f.next)
	f.next = make(chan struct{})
	return w.Revision(), nil
}

func (f *fakeFeed) put(puts ...state.Put) state.Revision {
	f.t.Helper()
	return f.apply(state.Batch{Writer: state.WriterReconcile, Puts: puts})
}

func (f *fakeFeed) remove(refs ...manifest.Ref) state.Revision {
	f.t.Helper()
	var deletes []state.Delete
	for _, r := range refs {
		deletes = append(deletes, state.Delete{Ref: r})
	}
	return f.apply(state.Batch{Writer: state.WriterReconcile, Deletes: deletes})
}

func (f *fakeFeed) World() *state.World {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.world
}

func (f *fakeFeed) Since(rev state.Revision) ([]state.Change, *state.World, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.forget {
		return nil, nil, false
	}
	var out []state.Change
	for _, c := range f.changes {
		if c.Revision > rev {
			out = append(out, c)
		}
	}
	return out, f.world, true
}

func (f *fakeFeed) Changed(rev state.Revision) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.world.Revision() > rev {
		c := make(chan struct{})
		close(c)
		return c
	}
	return f.next
}

func (f *fakeFeed) Propose(_ context.Context, b state.Batch) (state.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil {
		return 0, f.failing
	}
	for _, p := range b.Puts {
		f.acks = append(f.acks, p.Routed)
	}
	return f.applyLocked(b)
}

// acked is the revision last acknowledged and how many acknowledgements there were.
func (f *fakeFeed) acked() (state.Revision, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.acks) == 0 {
		return 0, 0
	}
	return f.acks[len(f.acks)-1], len(f.acks)
}
