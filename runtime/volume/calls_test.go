package volume

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A call that does not return is left behind after the patience; while it is out no second one is
// made of its source, others are not concerned, and what it makes at last is taken back.
func TestCalls_Abandon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Calls{}
		gate, undone := make(chan struct{}), 0
		var made atomic.Int32
		stuck := func() (int, error) { made.Add(1); <-gate; return 7, nil }
		begun := time.Now()
		_, err := do(t.Context(), c, "hostPath /dead", stuck, func(int) { undone++ })
		var hung *HungError
		if !errors.As(err, &hung) || time.Since(begun) != defaultPatience {
			t.Fatalf("error %v after %v, want a HungError after %v", err, time.Since(begun), defaultPatience)
		}
		if !strings.HasPrefix(err.Error(), "hostPath /dead does not answer: a call made at ") {
			t.Errorf("error is %q", err)
		}
		begun = time.Now()
		if _, err := do(t.Context(), c, "hostPath /dead", stuck, nil); !errors.As(err, &hung) || time.Since(begun) != 0 || made.Load() != 1 {
			t.Errorf("second call: error %v after %v, %d calls made, want an error at once and 1 call", err, time.Since(begun), made.Load())
		}
		if got, err := do(t.Context(), c, "hostPath /alive", func() (int, error) { return 1, nil }, nil); got != 1 || err != nil {
			t.Errorf("another source: %d, %v, want 1", got, err)
		}
		if c.Hung() != 1 {
			t.Errorf("%d sources hang, want 1", c.Hung())
		}
		close(gate)
		<-hung.Over
		synctest.Wait()
		if undone != 1 || c.Hung() != 0 {
			t.Errorf("after it returned: taken back %d times, %d hang, want 1 and 0", undone, c.Hung())
		}
		if got, err := do(t.Context(), c, "hostPath /dead", func() (int, error) { return 2, nil }, nil); got != 2 || err != nil {
			t.Errorf("after it returned: %d, %v, want 2", got, err)
		}
	})
}

// What an abandoned call made is taken back before another one of its source is made: it would take back what that
// one makes.
func TestCalls_TakenBackFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, gate, slow, undone := &Calls{}, make(chan struct{}), make(chan struct{}), false
		_, err := do(t.Context(), c, "s", func() (int, error) { <-gate; return 1, nil }, func(int) { <-slow; undone = true })
		var hung *HungError
		if !errors.As(err, &hung) {
			t.Fatalf("error %v, want a HungError", err)
		}
		close(gate)
		synctest.Wait()
		select {
		case <-hung.Over:
			t.Error("the call is over before what it made was taken back")
		default:
		}
		if _, err := do(t.Context(), c, "s", func() (int, error) { return 2, nil }, nil); !errors.As(err, &hung) {
			t.Errorf("a second call was made meanwhile: %v", err)
		}
		close(slow)
		<-hung.Over
		if got, err := do(t.Context(), c, "s", func() (int, error) { return 3, nil }, nil); got != 3 || err != nil || !undone {
			t.Errorf("afterwards: %d, %v, taken back %v, want 3 and true", got, err, undone)
		}
	})
}

// The end of the daemon does not wait for a call.
func TestCalls_EndOfTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gate := make(chan struct{})
		defer close(gate)
		begun := time.Now()
		_, err := do(ctx, &Calls{}, "s", func() (int, error) { <-gate; return 0, nil }, nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("error %v after %v, want the context's after 1 s", err, time.Since(begun))
		}
	})
}

// Many Pods that try a dead source side by side cost one call.
func TestCalls_OneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, gate, made := &Calls{}, make(chan struct{}), make(chan int, 100)
		failed := make(chan error, 20)
		for range 20 {
			go func() {
				_, err := do(t.Context(), c, "s", func() (int, error) { made <- 1; <-gate; return 0, nil }, nil)
				failed <- err
			}()
		}
		for range 20 {
			var hung *HungError
			if err := <-failed; !errors.As(err, &hung) {
				t.Errorf("error %v, want a HungError", err)
			}
		}
		if len(made) != 1 || c.Hung() != 1 {
			t.Errorf("%d calls were made and %d sources hang, want one of each", len(made), c.Hung())
		}
		close(gate)
	})
}
