package volume

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// defaultPatience is how long a call on a volume is waited for: a healthy one answers in
// milliseconds, a network away for a moment in a second.
const defaultPatience = 3 * time.Second

// Calls makes system calls that may hang (a dead network file system) in goroutines
// that can be abandoned. Of one source there is one call at a time, and none while
// an abandoned one has not returned: a dead source costs one thread however many Pods
// try it however often. The zero value is ready.
type Calls struct {
	// Patience is how long a call is waited for, 3 s if zero.
	Patience time.Duration

	mu  sync.Mutex
	out map[string]*call
}

type call struct {
	since time.Time
	over  chan struct{} // closed when it has returned, and what it made was taken back if it was abandoned
	done  bool          // it has returned
	left  bool          // abandoned
}

// HungError says that a source does not answer.
type HungError struct {
	Source string
	Since  time.Time
	// Over is closed when the call has returned after all: then it is worth another one.
	Over <-chan struct{}
}

func (e *HungError) Error() string {
	return fmt.Sprintf("%s does not answer: a call made at %s has not returned", e.Source, e.Since.UTC().Format(time.RFC3339))
}

// do waits for f, at most for the patience and until ctx ends. f is abandoned then: undo
// takes back what it made, whenever it returns. f must not touch what its caller owns.
func do[T any](ctx context.Context, c *Calls, source string, f func() (T, error), undo func(T)) (T, error) {
	var none T
	patience := c.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	mine, err := c.begin(ctx, source, timer.C)
	if err != nil {
		return none, err
	}
	type answer struct {
		made T
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		made, err := f()
		answers <- answer{made, err}
		if c.done(mine) && err == nil && undo != nil {
			undo(made)
		}
		c.returned(source, mine)
	}()
	select {
	case a := <-answers:
		return a.made, a.err
	case <-ctx.Done():
		err = fmt.Errorf("%s: %w", source, ctx.Err())
	case <-timer.C:
		err = &HungError{Source: source, Since: mine.since, Over: mine.over}
	}
	if !c.abandon(mine) { // it has just returned
		a := <-answers
		return a.made, a.err
	}
	return none, err
}

// begin waits for the turn of a call; there is none while one is abandoned.
func (c *Calls) begin(ctx context.Context, source string, late <-chan time.Time) (*call, error) {
	for {
		c.mu.Lock()
		now := c.out[source]
		if now == nil {
			mine := &call{since: time.Now(), over: make(chan struct{})}
			if c.out == nil {
				c.out = map[string]*call{}
			}
			c.out[source] = mine
			c.mu.Unlock()
			return mine, nil
		}
		left := now.left
		c.mu.Unlock()
		hung := &HungError{Source: source, Since: now.since, Over: now.over}
		if left {
			return nil, hung
		}
		select {
		case <-now.over:
		case <-late:
			return nil, hung
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", source, ctx.Err())
		}
	}
}

// abandon leaves a call behind, unless it has returned.
func (c *Calls) abandon(one *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	one.left = !one.done
	return one.left
}

// done notes that a call has returned and says whether it was abandoned.
func (c *Calls) done(one *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	one.done = true
	return one.left
}

func (c *Calls) returned(source string, one *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.out, source)
	close(one.over)
}

// Hung counts the sources that do not answer.
func (c *Calls) Hung() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, one := range c.out {
		if one.left {
			n++
		}
	}
	return n
}
