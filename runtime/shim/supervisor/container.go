package supervisor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// container is one container from Start to Remove.
type container struct {
	id, name string
	pod      *pod

	// Guarded by pod.mu.
	state shim.Container
	ended chan struct{} // closed when state is exited; nil from then on

	// done is ended for those who wait without the lock; released is closed
	// when nothing of the container is left in the kernel.
	done, released chan struct{}

	// Set before the container is running and not changed after.
	handle  *libcontainer.Container
	process *libcontainer.Process // nil if another shim started it
	// inherited: the program before this one started it, so it is a child.
	inherited bool
	cgroup    cgroups.Manager
	pidfd     *pidfd
	output    *output
	stdin     *stdin
	terminal  *terminal // nil without one

	// foreign is the program that runs it, nil for the library; then there is no handle.
	foreign *foreign
	execs   execs
	hanging atomic.Int64 // execs that were given up before they began and have not returned

	stop stopper

	profile sync.Mutex // held while the handle learns its seccomp profile

	users sync.WaitGroup // who holds the fields above for a moment, or an exec
}

func newContainer(p *pod, state shim.Container) *container {
	done := make(chan struct{})
	c := &container{id: state.ID, name: state.Name, pod: p, state: state, done: done, ended: done, released: make(chan struct{})}
	c.stop.wake = make(chan struct{}, 1)
	if state.Status == shim.StatusExited {
		close(done)
		c.ended = nil
	}
	return c
}

// view is the state with what is only known live. The pod's lock is held.
func (c *container) view() shim.Container {
	state := c.state
	if state.Status == shim.StatusRunning && c.output != nil {
		state.LogDropped = c.output.dropped()
	}
	return state
}

// request reads back what the container was started with.
func (c *container) request() (shim.StartRequest, error) {
	var r shim.StartRequest
	data, err := os.ReadFile(c.pod.request(c.id))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}

// use keeps a running container's handles valid until the result is called. It
// is an error for the client if the container is not running.
func (c *container) use() (done func(), err error) {
	c.pod.mu.Lock()
	defer c.pod.mu.Unlock()
	if c.state.Status != shim.StatusRunning {
		return nil, shim.Errorf(shim.CodeConflict, "container %q is %s, not running", c.id, c.state.Status)
	}
	c.users.Add(1)
	return sync.OnceFunc(c.users.Done), nil
}

// watch waits for the end of a running container and sees it through.
func (c *container) watch(start uint64) {
	if err := c.pidfd.wait(); err != nil {
		c.pod.log.Error("wait for container", "container", c.id, "err", err)
	}
	c.pod.still.RLock()
	defer c.pod.still.RUnlock()
	status, known := c.pidfd.exitStatus(start)
	if !known {
		status, known = pinnedStatus(c.pod.pin(c.id))
	}
	finished := time.Now()
	if !c.privatePIDs() {
		c.killAll() // its other processes do not end with it
	}
	if c.terminal != nil {
		c.terminal.hangup()
	}
	c.finishOutput()
	oom := c.oomKills() > 0
	c.pod.change(c, survivesCrash, func(s *shim.Container) {
		s.FinishedAt = finished.UTC()
		s.LogDropped = c.output.file.Dropped()
		conclude(s, status, known, oom)
	})
	c.release()
}

// conclude turns a wait status into what Kubernetes calls it.
func conclude(s *shim.Container, status unix.WaitStatus, known, oom bool) {
	s.Status = shim.StatusExited
	s.PID = 0
	s.StopDeadline, s.StopUnsent = time.Time{}, 0
	switch {
	case !known:
		s.ExitCode, s.Reason = 137, shim.ReasonUnknown
		s.Message = "the container ended while nobody watched, and the kernel did not keep its exit code"
		return
	case status.Signaled():
		s.Signal = int(status.Signal())
		s.ExitCode = 128 + s.Signal
	default:
		s.ExitCode = status.ExitStatus()
	}
	switch {
	case oom && s.ExitCode == 137:
		s.OOMKilled, s.Reason = true, shim.ReasonOOMKilled
	case s.ExitCode == 0:
		s.Reason = shim.ReasonCompleted
	default:
		s.Reason = shim.ReasonError
	}
}

// oomKills counts the processes that the kernel killed in the container's
// cgroup for want of memory, its own limit's or the pod's.
func (c *container) oomKills() uint64 {
	if c.cgroup == nil {
		return 0
	}
	n, err := c.cgroup.OOMKillCount()
	if err != nil {
		return 0
	}
	return n
}

// release gives back what an ended container still holds in the kernel.
func (c *container) release() {
	c.reap()
	c.users.Wait()
	if c.stdin != nil {
		c.stdin.close()
	}
	if c.terminal != nil {
		c.terminal.close()
	}
	if c.pidfd != nil {
		c.pidfd.close()
	}
	unpin(c.pod.pin(c.id))
	if c.foreign != nil {
		if err := c.foreign.remove(); err != nil {
			c.pod.log.Warn("container was not removed cleanly", "container", c.id, "err", err)
		}
	}
	if c.handle != nil {
		if err := c.handle.Destroy(); err != nil {
			c.pod.log.Warn("container was not removed cleanly", "container", c.id, "err", err)
		}
	}
	_ = os.RemoveAll(filepath.Join(c.pod.runc(), c.id))
	c.handle, c.process = nil, nil // the larger part of its memory
	close(c.released)
}

// reap takes the zombie of a container that is this process's child. The status
// is known.
func (c *container) reap() {
	switch {
	case c.process != nil:
		pid, _ := c.process.Pid()
		_, _ = c.process.Wait()
		c.pod.reaper.release(pid)
	case c.inherited && c.pidfd != nil:
		_, _ = unix.Wait4(c.pidfd.pid, nil, unix.WNOHANG, nil)
		c.pod.reaper.release(c.pidfd.pid)
	}
}
