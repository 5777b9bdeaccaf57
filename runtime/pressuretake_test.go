package runtime

import (
	"os"
	"path/filepath"
	"testing"
)

// A node that is short when its daemon starts gives up no log of what runs: a worker that has not looked yet
// does not know which those are.
func TestDropLogs_KnowsWhatRuns(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		w := g.worker("web")
		runs, old := w.paths.log("main", 0), w.paths.log("main", 7)
		if err := os.MkdirAll(filepath.Dir(runs), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{runs, old} {
			if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := newWorker(g.r, w.record).dropLogs(); err != nil || !exists(runs) || !exists(old) {
			t.Errorf("before it looked: %v, the log of what runs is there: %v, the other: %v, want both", err, exists(runs), exists(old))
		}
		g.in(w, func() {
			if err := w.dropLogs(); err != nil || !exists(runs) || exists(old) {
				t.Errorf("once it looked: %v, the log of what runs is there: %v, the other: %v, want the first alone", err, exists(runs), exists(old))
			}
		})
	})
}
