package fetch

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestFlights_LeadByNobody: who asked first may go, and the others get what they wait for.
func TestFlights_LeadByNobody(t *testing.T) {
	var f flights[int]
	asked, answer := make(chan context.Context, 1), make(chan int)
	fetch := func(ctx context.Context) (int, error) {
		asked <- ctx
		select {
		case n := <-answer:
			return n, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	type result struct {
		n   int
		err error
	}
	results := map[string]chan result{"first": make(chan result, 1), "second": make(chan result, 1)}
	ask := func(ctx context.Context, name string) {
		go func() { n, err := f.do(ctx, "key", fetch); results[name] <- result{n, err} }()
	}
	ctx, cancel := context.WithCancel(t.Context())
	ask(ctx, "first")
	<-asked
	ask(t.Context(), "second")
	for f.waiting("key") != 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if got := <-results["first"]; !errors.Is(got.err, context.Canceled) {
		t.Errorf("who went away got %v", got)
	}
	answer <- 7
	if got := <-results["second"]; got != (result{7, nil}) {
		t.Errorf("who stayed got %v", got)
	}
	if n := f.waiting("key"); n != 0 {
		t.Errorf("%d wait for what is over", n)
	}

	ctx, cancel = context.WithCancel(t.Context()) // the last one that goes ends it
	ask(ctx, "first")
	own := <-asked
	cancel()
	<-results["first"]
	<-own.Done()
	ask(t.Context(), "second")
	<-asked
	answer <- 8
	if got := <-results["second"]; got != (result{8, nil}) {
		t.Errorf("who came later got %v", got)
	}
}

func (f *flights[T]) waiting(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.under[key]; one != nil {
		return one.waiting
	}
	return 0
}
