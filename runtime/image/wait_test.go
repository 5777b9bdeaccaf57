package image

import (
	"testing"
	"time"
)

// waitFor polls for what another goroutine or the kernel will do in its own time.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it did not happen within 20 s")
		}
	}
}
