package loop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Clock notices that somebody sets the clock on the wall, which a timer of the process does not: it counts the seconds
// that pass. A Loop that is told looks again at what time makes due.
type Clock struct {
	timer io.ReadCloser
	arm   func() error
	set   chan struct{}
}

// NewClock asks the kernel to say so: a timer on the clock that never ends, and is cancelled when the clock is set
// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). Slewing, by which a time server keeps a clock true, does not count.
func NewClock() (*Clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch the clock: %w", err)
	}
	f := os.NewFile(uintptr(fd), "clock")
	never := unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt32}}
	arm := func() error {
		return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil)
	}
	if err := arm(); err != nil {
		f.Close()
		return nil, fmt.Errorf("watch the clock: %w", err)
	}
	return newClock(f, arm), nil
}

func newClock(timer io.ReadCloser, arm func() error) *Clock {
	return &Clock{timer: timer, arm: arm, set: make(chan struct{}, 1)}
}

// Set gets a value after the clock was set; several times in a row may be one.
func (c *Clock) Set() <-chan struct{} { return c.set }

// Run watches until ctx ends, and returns its error, or what keeps it from watching. It may be called once.
func (c *Clock) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	watching, done := context.WithCancel(ctx)
	defer done()
	wait.Go(func() { <-watching.Done(); c.timer.Close() })
	count := make([]byte, 8)
	for {
		_, err := c.timer.Read(count)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, unix.ECANCELED):
			return fmt.Errorf("watch the clock: %w", err)
		}
		if err := c.arm(); err != nil {
			return fmt.Errorf("watch the clock: %w", err)
		}
		select {
		case c.set <- struct{}{}:
		default:
		}
	}
}
