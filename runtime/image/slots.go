package image

import (
	"context"
	"sync"
)

// slots bound what is done at once with each of several sources, so that a slow one holds up nobody else.
// The zero value is ready.
type slots struct {
	mu   sync.Mutex
	each map[string]chan struct{}
}

// take waits for one of n slots of a source. The returned function gives it back.
func (s *slots) take(ctx context.Context, source string, n int) (func(), error) {
	s.mu.Lock()
	if s.each == nil {
		s.each = map[string]chan struct{}{}
	}
	c := s.each[source]
	if c == nil {
		c = make(chan struct{}, n)
		s.each[source] = c
	}
	s.mu.Unlock()
	select {
	case c <- struct{}{}:
		return func() { <-c }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
