package supervisor

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// stopper turns a deadline into a kill. The deadline itself is in the
// container's state, where a next shim finds it.
type stopper struct {
	wake    chan struct{} // the deadline has changed
	started bool          // guarded by pod.mu
}

// stop sends the stop signal, and SIGKILL after the grace. It returns when the
// container has ended or ctx has; what was begun goes on.
func (p *pod) stop(ctx context.Context, r shim.StopRequest) (shim.Container, error) {
	c, err := p.get(r.ID)
	if err != nil {
		return shim.Container{}, err
	}
	sig, err := c.stopSignal(r.Signal)
	if err != nil {
		return shim.Container{}, err
	}
	if err := c.begun(ctx); err != nil {
		return shim.Container{}, err
	}
	if done, err := c.use(); err == nil {
		p.still.RLock() // the deadline, or that and the signal
		c.beginStop(sig, time.Duration(max(r.GraceMillis, 0))*time.Millisecond)
		p.still.RUnlock()
		done()
	}
	return c.awaitEnd(ctx, time.Duration(r.WaitMillis)*time.Millisecond)
}

// awaitEnd returns when the container has ended, or some time after it should have.
func (c *container) awaitEnd(ctx context.Context, limit time.Duration) (shim.Container, error) {
	p := c.pod
	if limit <= 0 {
		limit = stuckLimit
	}
	begun := time.Now()
	for {
		p.mu.Lock()
		state := c.state
		p.mu.Unlock()
		if state.Status == shim.StatusExited {
			return state, nil
		}
		left := time.Until(state.StopDeadline.Add(limit)) // it may be brought forward meanwhile
		if state.StopDeadline.Before(begun) {
			left = time.Until(begun.Add(limit))
		}
		if left <= 0 {
			return shim.Container{}, c.stuck(limit)
		}
		timer := time.NewTimer(left)
		select {
		case <-c.done:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return shim.Container{}, ctx.Err()
		}
		timer.Stop()
	}
}

// begun waits until a container that is being started runs, or could not be
// started: there is nothing to signal before.
func (c *container) begun(ctx context.Context) error {
	p := c.pod
	for {
		p.mu.Lock()
		known, status, changed := p.containers[c.id] == c, c.state.Status, p.changed
		p.mu.Unlock()
		switch {
		case !known:
			return shim.Errorf(shim.CodeNotFound, "container %q is not in this pod", c.id)
		case status != shim.StatusCreating:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stopSignal is what the request names, or else the container's own.
func (c *container) stopSignal(name string) (syscall.Signal, error) {
	if name == "" {
		request, err := c.request()
		if err != nil {
			return 0, err
		}
		name = request.StopSignal
	}
	return parseSignal(name)
}

// beginStop notes the deadline and the signal before that is sent. The container is in
// use.
func (c *container) beginStop(sig syscall.Signal, grace time.Duration) {
	deadline := time.Now().Add(grace).UTC()
	first := false
	c.pod.change(c, survivesKill, func(s *shim.Container) {
		first = s.StopDeadline.IsZero()
		if first || deadline.Before(s.StopDeadline) {
			s.StopDeadline = deadline
		}
		if first && grace > 0 {
			s.StopUnsent = int(sig)
		}
	})
	c.armStop() // before the signal, which another runtime's program may hang over
	if first && grace > 0 {
		c.sendStop(sig)
	}
}

// sendStop sends the signal of a stop and notes that. A shim that is killed between the two leaves it to the next
// one, which sends it again. The container is in use.
func (c *container) sendStop(sig syscall.Signal) {
	if err := c.send(sig); err != nil {
		c.pod.log.Warn("signal container", "container", c.id, "err", err)
	}
	c.pod.change(c, survivesKill, func(s *shim.Container) { s.StopUnsent = 0 })
}

// armStop makes sure that somebody waits for the deadline, and looks again.
func (c *container) armStop() {
	c.pod.mu.Lock()
	defer c.pod.mu.Unlock()
	if !c.stop.started {
		c.stop.started = true
		c.pod.work.Go(c.enforceStop)
	}
	select {
	case c.stop.wake <- struct{}{}:
	default:
	}
}

// enforceStop kills at the deadline, and again if that is not enough.
func (c *container) enforceStop() {
	const again = 10 * time.Second
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-c.stop.wake:
		case <-timer.C:
		}
		c.pod.mu.Lock()
		left := time.Until(c.state.StopDeadline)
		c.pod.mu.Unlock()
		if left <= 0 {
			c.kill()
			left = again
		}
		timer.Reset(left)
	}
}

// kill kills everything in the container.
func (c *container) kill() {
	done, err := c.use()
	if err != nil {
		return
	}
	defer done()
	c.killAll()
}

func (p *pod) signal(r shim.SignalRequest) error {
	sig, err := parseSignal(r.Signal)
	if err != nil {
		return err
	}
	c, done, err := p.use(r.ID)
	if err != nil {
		return err
	}
	defer done()
	return c.send(sig)
}

// parseSignal reads "SIGTERM", "term" or "15"; nothing means SIGTERM.
func parseSignal(name string) (syscall.Signal, error) {
	if name == "" {
		return unix.SIGTERM, nil
	}
	const last = 64
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > last {
			return 0, shim.Errorf(shim.CodeInvalid, "signal %q: 1 to %d are allowed", name, last)
		}
		return syscall.Signal(n), nil
	}
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	if sig := unix.SignalNum(upper); sig != 0 {
		return sig, nil
	}
	if sig, ok := realtimeSignal(strings.TrimPrefix(upper, "SIG")); ok {
		return sig, nil
	}
	return 0, shim.Errorf(shim.CodeInvalid, "unknown signal %q", name)
}

// realtimeSignal reads RTMIN, RTMIN+3, RTMAX-2 as signal(7) counts them; some
// images stop by SIGRTMIN+3.
func realtimeSignal(name string) (syscall.Signal, bool) {
	const lowest, highest = 34, 64
	number := 0
	switch {
	case strings.HasPrefix(name, "RTMIN"):
		number, name = lowest, strings.TrimPrefix(name, "RTMIN")
	case strings.HasPrefix(name, "RTMAX"):
		number, name = highest, strings.TrimPrefix(name, "RTMAX")
	default:
		return 0, false
	}
	if name != "" {
		offset, err := strconv.Atoi(name)
		if err != nil {
			return 0, false
		}
		number += offset
	}
	return syscall.Signal(number), number >= lowest && number <= highest
}
