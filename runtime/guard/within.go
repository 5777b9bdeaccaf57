package guard

import (
	"context"
	"errors"
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

// within runs f where it can be left behind: a system call on a dead disk does not return.
func within[T any](ctx context.Context, limit time.Duration, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f()
		done <- answer{value, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var none T
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timer.C:
		return none, errHangs
	}
}
