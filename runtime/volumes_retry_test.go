package runtime

import (
	goruntime "runtime"
	"testing"
	"time"

	"writ/runtime/volume"
)

// Whatever waits for one thing is tried again when it is there, and however often it fails until then
// one goroutine waits.
func TestRetryOn(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		w := g.worker("web")
		later := time.Now().Add(time.Hour)
		first := make(chan struct{})
		hung := []*volume.HungError{{Over: first}, {Over: make(chan struct{})}}
		tries := []*Attempt{{Retry: later}, {Retry: later}, {Retry: later}}
		before := goruntime.NumGoroutine()
		g.in(w, func() {
			for range 20 {
				w.awaitAnswer(hung[0], tries[0])
				w.awaitAnswer(hung[1], tries[1])
				w.awaitAnswer(hung[0], tries[2])
			}
		})
		if n := goruntime.NumGoroutine() - before; n > len(hung) {
			t.Errorf("%d goroutines wait for %d file systems", n, len(hung))
		}
		close(first)
		settle()
		for i, want := range []bool{true, false, true} {
			if got := tries[i].Retry.IsZero(); got != want {
				t.Errorf("attempt %d is due: %v, want %v", i, got, want)
			}
		}
	})
}
