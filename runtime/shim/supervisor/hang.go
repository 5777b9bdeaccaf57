package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// A system call on a disk or a file server that is gone may never return, and its
// process cannot be killed. What may hang runs where it can be given up: the
// container is told of as ended, and the thread is left to itself.
const (
	// startLimit is how long a start may take, kubelet's limit of such a request.
	startLimit = 2 * time.Minute
	// stuckLimit is how long after the kill the end of a container is waited for.
	stuckLimit = 30 * time.Second
	// finishLimit is how long the end of a container waits for its last lines to be in
	// its log. They go on on their way after it.
	finishLimit = 3 * time.Second
	// givenUpLimit is how long what was killed because it took too long may take to end.
	givenUpLimit = 5 * time.Second
)

// within runs f and reports whether it returned in time. One that did not goes on.
func (p *pod) within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	}
	p.hung.Add(1)
	go func() { <-done; p.hung.Add(-1) }()
	return false
}

// launchWithin is launch, but returns in any case. What is made too late ends at
// once.
func (c *container) launchWithin(r shim.StartRequest) (shim.Container, error) {
	limit := startLimit
	if r.LimitMillis > 0 {
		limit = time.Duration(r.LimitMillis) * time.Millisecond
	}
	made := make(chan shim.Container, 1)
	launch := func() {
		state, err := c.launch(r)
		if err != nil {
			c.pod.log.Warn("container cannot be started", "container", c.id, "err", err)
			state = c.abandon(err)
		}
		made <- state
	}
	if c.pod.within(limit, launch) {
		return started(<-made)
	}
	where := r.Spec.Linux.CgroupsPath
	stuck := stuckAmong(pidsIn(where))
	killIn(where) // its setup: the launch then fails
	timer := time.NewTimer(givenUpLimit)
	defer timer.Stop()
	select {
	case state := <-made:
		return started(state)
	case <-timer.C:
	}
	why := fmt.Sprintf("the start did not end within %s: context deadline exceeded%s", limit, stuck)
	c.pod.log.Error("container is given up", "container", c.id, "err", why)
	return started(c.pod.change(c, survivesCrash, func(s *shim.Container) { notStarted(s, why) }))
}

func started(state shim.Container) (shim.Container, error) {
	if state.Reason == shim.ReasonStartError {
		return state, &shim.Error{Code: shim.CodeStart, Message: state.Message}
	}
	return state, nil
}

// execWithin is exec, but returns in any case. What begins too late ends at once, and until then nothing else
// is begun in the container: it would wait for the same.
func (c *container) execWithin(r shim.ExecRequest, limit time.Duration) (*session, error) {
	if c.hanging.Load() > 0 {
		return nil, shim.Errorf(shim.CodeConflict, "an exec in container %q was given up and hangs still", c.name)
	}
	done, err := c.use()
	if err != nil {
		return nil, err
	}
	var settled atomic.Bool // by the exec that has returned, or by who gives it up
	var s *session
	var failed error
	exec := func() {
		defer done()
		if s, failed = c.exec(r); settled.CompareAndSwap(false, true) {
			return
		}
		if failed == nil {
			s.close()
		}
		c.hanging.Add(-1)
	}
	if c.pod.within(limit, exec) || !settled.CompareAndSwap(false, true) {
		return s, failed
	}
	c.hanging.Add(1)
	c.pod.log.Error("exec is given up", "container", c.id, "limit", limit)
	return nil, shim.Errorf(shim.CodeTimeout, "the exec did not begin within %s: context deadline exceeded", limit)
}

// finishOutput takes what is left of the output. A log that hangs does not keep the
// end of the container from being told.
func (c *container) finishOutput() {
	if !c.pod.within(finishLimit, c.output.finish) {
		c.pod.log.Error("the log hangs, the last lines are not in it", "container", c.id, "limit", finishLimit)
	}
}

// stuck says that a container did not end though it was killed, and why.
func (c *container) stuck(limit time.Duration) error {
	pids, _ := allPIDs(c.cgroup) // set since it runs
	return shim.Errorf(shim.CodeTimeout, "container %q has not ended %s after it was killed%s", c.name, limit, stuckAmong(pids))
}

// stuckAmong names the processes that cannot be killed now, for people:
// `: process 12 (cat) is in an uninterruptible sleep in nfs_wait_bit_killable`.
func stuckAmong(pids []int) string {
	var out []string
	for _, pid := range pids {
		if stat, err := readStat(pid); err != nil || stat.state != 'D' {
			continue
		}
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		where, _ := os.ReadFile(filepath.Join(dir, "wchan"))
		out = append(out, fmt.Sprintf("process %d (%s) is in an uninterruptible sleep in %s", pid, strings.TrimSpace(string(name)), where))
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}

// killIn kills every process of a cgroup and waits for none.
func killIn(cgroup string) {
	for _, pid := range pidsIn(cgroup) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// pidsIn lists the processes of a container's cgroup, as far as they can be told.
func pidsIn(cgroup string) []int {
	if cgroup == "" {
		return nil
	}
	m, _, err := podCgroup(cgroup, nil)
	if err != nil {
		return nil
	}
	pids, _ := allPIDs(m)
	return pids
}
