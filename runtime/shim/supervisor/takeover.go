package supervisor

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
	"writ/runtime/shim/crilog"
)

// takeOver finds out what an earlier shim left on this directory: containers
// that run are watched on, those that ended meanwhile are recorded, and what
// was under way is finished or taken back.
func (p *pod) takeOver() error {
	if err := p.loadSandbox(); err != nil {
		return err
	}
	entries, err := os.ReadDir(p.paths.containers())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		var state shim.Container
		found, err := readJSON(p.state(e.Name()), &state)
		if err != nil || !found || state.ID != e.Name() {
			p.log.Error("container record is damaged, what it left is removed", "container", e.Name(), "err", err)
			p.discard(e.Name())
			continue
		}
		c := newContainer(p, state)
		p.containers[state.ID] = c
		if err := c.resume(); err != nil {
			return err
		}
	}
	return nil
}

// loadSandbox reads the sandbox; one of an earlier boot is gone.
func (p *pod) loadSandbox() error {
	var record sandboxRecord
	found, err := readJSON(p.paths.sandbox(), &record)
	if err != nil {
		return err
	}
	if found && record.BootID == p.bootID {
		p.sandbox, p.pause = &record.SandboxState, record.pause()
	}
	return nil
}

// resume brings one container of an earlier shim to where it belongs. It is an
// error only after a handover, where the program before can still do it.
func (c *container) resume() error {
	log := c.pod.log.With("container", c.id)
	if c.foreign = c.pod.recorded(c.id); c.foreign == nil {
		c.handle, _ = libcontainer.Load(c.pod.runc(), c.id) // nil if it never was or is gone
	}
	who := identity{c.state.PID, c.state.PIDStart, c.state.BootID}
	var err error
	switch {
	case c.state.Status == shim.StatusExited:
		c.release() // what the earlier one had no time for
		return nil
	case c.state.Status == shim.StatusCreating:
		err = errors.New("the shim ended while it started the container")
	case c.state.BootID != c.pod.bootID:
		c.settle("the node was restarted", 0, false)
		return nil
	default:
		if err = c.rejoin(who); err == nil {
			log.Info("container taken over", "pid", who.pid)
			return nil
		}
		if c.pod.handed != nil && !errors.Is(err, errGone) {
			return fmt.Errorf("container %s: %w", c.id, err)
		}
	}
	log.Warn("container of an earlier shim cannot be taken over", "err", err)
	if c.state.Status == shim.StatusCreating {
		c.pod.paths.destroyContainer(c.id, c.pod.bootID, log)
		c.handle = nil
		c.abandon(err)
		return nil
	}
	c.killAll()
	killProcess(who, c.pod.bootID)
	status, known := pinnedStatus(c.pod.pin(c.id))
	c.settle("", status, known)
	return nil
}

var errGone = errors.New("its process is gone")

// rejoin watches a container that runs, or is a zombie still.
func (c *container) rejoin(who identity) error {
	if c.handle == nil && c.foreign == nil {
		return errors.New("its state is gone")
	}
	request, err := c.request()
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if !who.alive(c.pod.bootID) {
		return errors.Join(errGone, c.rejoinOutput(request))
	}
	if c.pod.handed != nil {
		c.inherited = true
		c.pod.reaper.keep(who.pid)
	}
	if err := c.grasp(who.pid); err != nil {
		return errors.Join(err, c.rejoinOutput(request))
	}
	if !who.alive(c.pod.bootID) { // the descriptor is of that very process
		return errors.Join(errGone, c.rejoinOutput(request))
	}
	if err := c.rejoinOutput(request); err != nil {
		return err
	}
	if err := c.joinStdin(request.StdinOnce); err != nil {
		return err
	}
	stopping, unsent := !c.state.StopDeadline.IsZero(), syscall.Signal(c.state.StopUnsent)
	c.pod.change(c, survivesKill, func(s *shim.Container) { s.RestoredAt = int64(c.pod.hello.Incarnation) })
	c.output.start()
	c.pod.work.Go(func() { c.watch(who.start) })
	if stopping {
		c.armStop()
	}
	if c.pod.handed == nil { // which happens while nothing begins or is stopped
		c.carryOn(unsent)
	}
	return nil
}

// carryOn does what a killed shim came to no more: it lets a process go that waits to be, and sends the signal of
// a stop. Another runtime's program may hang over that, and no takeover waits for it.
func (c *container) carryOn(unsent syscall.Signal) {
	done, err := c.use()
	if err != nil {
		return // it has ended
	}
	c.pod.still.RLock()
	carryOn := func() {
		defer done()
		defer c.pod.still.RUnlock()
		if c.waits() {
			c.begin()
		}
		if unsent != 0 {
			c.sendStop(unsent)
		}
	}
	if c.foreign != nil {
		c.pod.work.Go(carryOn)
		return
	}
	carryOn()
}

// rejoinOutput opens the FIFOs again. A terminal is there only if it was handed over.
func (c *container) rejoinOutput(r shim.StartRequest) error {
	if err := c.prepareOutput(r.Log); err != nil {
		return err
	}
	if r.Spec.Process.Terminal {
		c.terminal, c.output.kept = c.pod.handed.terminal(c.id)
		c.output.terminal = c.terminal
		return nil
	}
	for _, stream := range []crilog.Stream{crilog.Stdout, crilog.Stderr} {
		if err := c.output.add(stream, c.pod.fifo(c.id, string(stream))); err != nil {
			return err
		}
	}
	return nil
}

// settle records the end of a container that ended while no shim was there.
func (c *container) settle(message string, status unix.WaitStatus, known bool) {
	oom := false
	if (c.handle != nil || c.foreign != nil) && c.cgroup == nil {
		oom = c.lateOOM()
	}
	if c.output != nil {
		c.finishOutput()
	}
	c.pod.change(c, survivesCrash, func(s *shim.Container) {
		s.RestoredAt = int64(c.pod.hello.Incarnation)
		s.FinishedAt = time.Now().UTC()
		conclude(s, status, known, oom)
		if message != "" {
			s.Message = message
		}
	})
	c.release()
}

// lateOOM looks at the cgroup of a container that nobody watches.
func (c *container) lateOOM() bool {
	m, err := c.manager()
	if err != nil {
		return false
	}
	c.cgroup = m
	return c.oomKills() > 0
}

// discard removes what a container without a readable record left.
func (p *pod) discard(id string) {
	p.paths.destroyContainer(id, p.bootID, p.log)
	_ = os.RemoveAll(p.container(id))
}
