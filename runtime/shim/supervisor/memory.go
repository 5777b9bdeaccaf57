package supervisor

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
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
	time.AfterFunc(tidyDelay, func() {
		t.mu.Lock()
		t.pending = false
		t.mu.Unlock()
		// Pools and large stacks go in steps, one with each collection.
		runtime.GC()
		runtime.GC()
		debug.FreeOSMemory()
	})
}
