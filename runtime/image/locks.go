package image

import (
	"context"
	"sync"
)

// keyedLocks are locks by name. The zero value is ready.
type keyedLocks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// lock waits for the name. The returned function gives it back.
func (k *keyedLocks) lock(ctx context.Context, name string) (func(), error) {
	for {
		k.mu.Lock()
		wait, taken := k.held[name]
		if !taken {
			if k.held == nil {
				k.held = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			k.held[name] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.held, name)
				k.mu.Unlock()
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// flights let many callers wait for one pull. The zero value is ready.
type flights struct {
	mu      sync.Mutex
	fly     map[string]*flight
	running sync.WaitGroup
}

func (f *flights) wait() { f.running.Wait() }

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	image   Image
	err     error
}

// do runs fn once for all who ask for the key while it runs. fn's context ends when
// the last of them has gone away, not when the first has.
func (f *flights) do(ctx context.Context, key string, fn func(context.Context) (Image, error)) (Image, error) {
	f.mu.Lock()
	fl, ok := f.fly[key]
	if !ok {
		fl = f.start(ctx, key, fn)
	}
	fl.waiting++
	f.mu.Unlock()
	select {
	case <-fl.done:
		return fl.image, fl.err
	case <-ctx.Done():
		f.mu.Lock()
		if fl.waiting--; fl.waiting == 0 {
			fl.cancel()
			if f.fly[key] == fl {
				delete(f.fly, key) // who comes now gets a new one
			}
		}
		f.mu.Unlock()
		return Image{}, context.Cause(ctx)
	}
}

func (f *flights) start(ctx context.Context, key string, fn func(context.Context) (Image, error)) *flight {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl := &flight{done: make(chan struct{}), cancel: cancel}
	if f.fly == nil {
		f.fly = map[string]*flight{}
	}
	f.fly[key] = fl
	f.running.Go(func() {
		defer cancel()
		fl.image, fl.err = fn(own)
		f.mu.Lock()
		if f.fly[key] == fl {
			delete(f.fly, key)
		}
		f.mu.Unlock()
		close(fl.done)
	})
	return fl
}
