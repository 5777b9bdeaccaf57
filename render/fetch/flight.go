package fetch

import (
	"context"
	"sync"
)

// flights let all who ask for the same at the same time wait for one fetch, which goes on as long as any of them
// waits.
type flights[T any] struct {
	mu    sync.Mutex
	under map[string]*flight[T]
}

type flight[T any] struct {
	waiting int // guarded by the flights' lock
	cancel  context.CancelFunc
	done    chan struct{} // closed when what follows is there
	got     T
	err     error
}

func (f *flights[T]) do(ctx context.Context, key string, fetch func(context.Context) (T, error)) (T, error) {
	one := f.join(ctx, key, fetch)
	select {
	case <-one.done:
		return one.got, one.err
	case <-ctx.Done():
		f.leave(key, one)
		var nothing T
		return nothing, context.Cause(ctx)
	}
}

// join finds the fetch of a key or begins it.
func (f *flights[T]) join(ctx context.Context, key string, fetch func(context.Context) (T, error)) *flight[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, ok := f.under[key]
	if !ok {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		one = &flight[T]{cancel: cancel, done: make(chan struct{})}
		if f.under == nil {
			f.under = map[string]*flight[T]{}
		}
		f.under[key] = one
		go func() {
			defer cancel()
			one.got, one.err = fetch(own)
			f.mu.Lock()
			f.forget(key, one)
			f.mu.Unlock()
			close(one.done)
		}()
	}
	one.waiting++
	return one
}

// leave ends a fetch that nobody waits for any more; who asks next begins another.
func (f *flights[T]) leave(key string, one *flight[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one.waiting--; one.waiting == 0 {
		one.cancel()
		f.forget(key, one)
	}
}

// forget is called with the lock held.
func (f *flights[T]) forget(key string, one *flight[T]) {
	if f.under[key] == one {
		delete(f.under, key)
	}
}
