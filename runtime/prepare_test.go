package runtime

import (
	"context"
	"testing"

	"writ/manifest"
	"writ/state"
)

// A deletion that is on its way to the worker leaves no Pod without a shim that is told to run: what is planned next
// goes by what the worker has.
func TestPrepare_WhileADeletionIsOnItsWay(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		settle()
		ctx, cancel := context.WithCancel(t.Context())
		w := newWorker(g.r, &state.Record{Ref: manifest.PodRef("default", "late"), UID: "late", Object: pod("late", "img", nil)})
		defer func() { cancel(); w.tasks.Wait() }()
		w.ctx = ctx
		w.begin()
		w.ending.Store(true) // as update does before the worker is told why
		w.prepare()
		if !w.o.Sandbox.Done || w.shim == nil {
			t.Errorf("sandbox is %+v, there is a shim: %v, want it done with one", w.o.Sandbox, w.shim != nil)
		}
	})
}
