package guard

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// patience is how long a measurement may take before it is left behind.
	patience = 20 * time.Second
	// reclaimPatience is the same for taking away what nobody misses, which may be much.
	reclaimPatience = 2 * time.Minute
)

// errHangs is that something did not return in time. It goes on by itself, and what it returns is dropped.
var errHangs = errors.New("it takes too long, or hangs")

// calls are those on their way, by what they are about: a dead disk costs one thread, however often it is looked at.
type calls struct {
	mu  sync.Mutex
	out map[string]bool
}

func (c *calls) begin(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out[name] {
		return false
	}
	c.out[name] = true
	return true
}

func (c *calls) end(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.out, name)
}

// within runs f where it can be left behind: a system call on a dead disk does not return. There is none while
// an earlier one of that name is on its way.
func within[T any](ctx context.Context, c *calls, name string, limit time.Duration, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	if !c.begin(name) {
		return none, errHangs
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f()
		c.end(name)
		done <- answer{value, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timer.C:
		return none, errHangs
	}
}
