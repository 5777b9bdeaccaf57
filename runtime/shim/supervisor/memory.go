package supervisor

import (
	"runtime/debug"
	"sync"
	"time"
)

// A collection costs a shim some 400 KiB of the collector's own tables for the
// rest of its life, more than a start leaves behind. So none runs while a pod
// starts; one gives back what the start took, and from then on a shim that
// does little keeps little.
const (
	busyPercent = 100
	idlePercent = 25
)

// tidier gives memory back to the machine some time after work that took
// much. A shim does nothing most of its life, so no collection would ever run.
type tidier struct {
	mu      sync.Mutex
	pending bool
}

// tidyDelay is long enough not to disturb a burst of starts.
const tidyDelay = 2 * time.Second

// later tidies once after a delay, however often it is called meanwhile.
func (t *tidier) later() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending {
		return
	}
	t.pending = true
	debug.SetGCPercent(busyPercent)
	time.AfterFunc(tidyDelay, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.pending = false
		debug.FreeOSMemory() // collects, once
		debug.SetGCPercent(idlePercent)
	})
}
