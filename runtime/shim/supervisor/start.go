package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
	"writ/runtime/shim/crilog"
)

// startErrorCode is the exit code of a container whose process could not be
// started, containerd's.
const startErrorCode = 128

// start creates a container and runs its process. An error of CodeStart leaves
// an exited container behind, any other nothing.
func (p *pod) start(r shim.StartRequest) (shim.Container, error) {
	if err := check(r); err != nil {
		return shim.Container{}, err
	}
	p.tidier.later()
	box, err := p.admit(r.ID)
	if err != nil {
		return shim.Container{}, err
	}
	if err := p.keepPause(&box); err != nil {
		return shim.Container{}, err
	}
	warnings, err := p.complete(r.ID, r.Spec, box)
	if err != nil {
		return shim.Container{}, err
	}
	c, err := p.create(r, warnings)
	if err != nil {
		return shim.Container{}, err
	}
	state, err := c.launchWithin(r)
	if err != nil {
		return state, err
	}
	p.log.Info("container started", "container", r.ID, "pid", state.PID)
	return state, nil
}

// admit says whether a container may be started at all.
func (p *pod) admit(id string) (shim.SandboxState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closing:
		return shim.SandboxState{}, shim.Errorf(shim.CodeConflict, "the pod is being shut down")
	case p.sandbox == nil:
		return shim.SandboxState{}, shim.Errorf(shim.CodeConflict, "the pod has no sandbox yet")
	case p.containers[id] != nil:
		return shim.SandboxState{}, shim.Errorf(shim.CodeExists, "container %q is there already", id)
	}
	return *p.sandbox, nil
}

// create records a container before anything of it exists.
func (p *pod) create(r shim.StartRequest, warnings []string) (*container, error) {
	c := newContainer(p, shim.Container{
		ID: r.ID, Name: r.Name, Attempt: r.Attempt, Labels: r.Labels,
		Status: shim.StatusCreating, BootID: p.bootID, CreatedAt: time.Now().UTC(),
		LogPath: r.Log.Path, StartWarnings: warnings,
	})
	if err := p.enrol(c); err != nil {
		return nil, err
	}
	err := errors.Join(
		os.MkdirAll(p.container(r.ID), 0o700),
		writeJSON(p.request(r.ID), r, survivesKill),
		writeJSON(p.state(r.ID), c.state, survivesKill),
	)
	if err != nil {
		_ = os.RemoveAll(p.container(r.ID))
		p.mu.Lock()
		delete(p.containers, r.ID)
		p.tell()
		p.mu.Unlock()
		return nil, fmt.Errorf("record container %s: %w", r.ID, err)
	}
	return c, nil
}

// enrol makes a container part of the pod, unless the pod was closed or got
// another of this name since it was admitted.
func (p *pod) enrol(c *container) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closing:
		return shim.Errorf(shim.CodeConflict, "the pod is being shut down")
	case p.containers[c.id] != nil:
		return shim.Errorf(shim.CodeExists, "container %q is there already", c.id)
	}
	p.containers[c.id] = c
	return nil
}

// launch brings a recorded container to life. Its process waits at the last
// step before its command until it is on record, so a kill in between leaves
// one that the next shim can set going.
func (c *container) launch(r shim.StartRequest) (shim.Container, error) {
	if c.foreign = c.pod.foreign(r); c.foreign != nil {
		return c.launchForeign(r)
	}
	config, err := c.pod.config(r.ID, r.Spec)
	if err != nil {
		return shim.Container{}, err
	}
	process, err := newProcess(r.Spec.Process)
	if err != nil {
		return shim.Container{}, err
	}
	process.Init = true
	streams, err := c.openStreams(r, process)
	if err != nil {
		return shim.Container{}, err
	}
	defer streams.close()
	if err := c.pod.entered(); err != nil {
		return shim.Container{}, err
	}
	seal, err := c.prepareSeal(r, config, process)
	if err != nil {
		return shim.Container{}, err
	}
	defer seal.close()
	end := c.pod.reaper.begin()
	defer end()
	if c.handle, err = libcontainer.Create(c.pod.runc(), r.ID, config); err != nil {
		return shim.Container{}, err
	}
	if err := c.handle.Start(process); err != nil {
		return shim.Container{}, err
	}
	c.process = process
	pid, err := process.Pid()
	if err != nil {
		return shim.Container{}, err
	}
	who, err := c.hold(pid)
	if err == nil {
		err = seal.apply(who.pid)
	}
	end()
	if err != nil {
		return shim.Container{}, err
	}
	if err := streams.connect(); err != nil {
		return shim.Container{}, err
	}
	return c.run(who)
}

// run records a container whose process waits as running, and lets it go.
func (c *container) run(who identity) (shim.Container, error) {
	state := c.pod.change(c, survivesKill, func(s *shim.Container) {
		s.Status, s.StartedAt = shim.StatusRunning, time.Now().UTC()
		s.PID, s.PIDStart, s.BootID = who.pid, who.start, who.bootID
	})
	if state.Status != shim.StatusRunning {
		return state, errGivenUp
	}
	c.output.start()
	c.begin()
	c.pod.work.Go(func() { c.watch(who.start) })
	return state, nil
}

// begin lets the process of a created container go, or ends it.
func (c *container) begin() {
	var err error
	if c.foreign != nil {
		err = c.foreign.start()
	} else {
		err = c.letGo(c.state.PID)
	}
	if err != nil {
		c.pod.log.Error("container did not begin", "container", c.id, "err", err)
		_ = c.pidfd.signal(unix.SIGKILL) // watch sees it end
	}
}

var errGivenUp = errors.New("it took too long and was given up")

// config is libcontainer's form of a specification. A child of libcontainer's reads the users of a user namespace.
func (p *pod) config(id string, spec *specs.Spec) (*configs.Config, error) {
	end := p.reaper.begin()
	defer end()
	return specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: id, Spec: spec})
}

// hold gets hold of a created process: its identity, a descriptor, its cgroup,
// and its exit status for a time when nobody holds it.
func (c *container) hold(pid int) (identity, error) {
	c.pod.reaper.keep(pid)
	who, err := identify(pid, c.pod.bootID)
	if err != nil {
		return identity{}, err
	}
	return who, c.grasp(pid)
}

// grasp opens what is needed of a process, one's own child or not.
func (c *container) grasp(pid int) error {
	var err error
	if c.pidfd, err = openPidfd(pid); err != nil {
		return err
	}
	if path := c.pod.pin(c.id); !pinned(path) {
		c.pidfd.pin(path)
	}
	c.cgroup, err = c.manager()
	return err
}

// manager is a second one for the container's cgroup: libcontainer's own does
// not answer all questions.
func (c *container) manager() (cgroups.Manager, error) {
	if c.foreign != nil {
		m, _, err := podCgroup(c.foreign.cgroup, nil)
		return m, err
	}
	state, err := c.handle.State()
	if err != nil {
		return nil, err
	}
	config := c.handle.Config()
	return manager.NewWithPaths(config.Cgroups, state.CgroupPaths)
}

// privatePIDs reports whether the container's processes end with its first.
func (c *container) privatePIDs() bool {
	if c.foreign != nil {
		return c.foreign.privatePIDs
	}
	if c.handle == nil {
		return true
	}
	config := c.handle.Config()
	return config.Namespaces.IsPrivate(configs.NEWPID)
}

// killAll kills every process in the container's cgroup.
func (c *container) killAll() {
	if c.foreign != nil {
		c.foreign.killAll()
		return
	}
	if c.handle == nil {
		return
	}
	if c.pidfd != nil { // first without the library, whose lock an exec that hangs holds
		_ = c.pidfd.signal(unix.SIGKILL)
	}
	if c.cgroup != nil && !c.privatePIDs() {
		pids, _ := allPIDs(c.cgroup)
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	handle := c.handle
	c.pod.within(givenUpLimit, func() {
		if err := handle.Signal(unix.SIGKILL); err != nil && !errors.Is(err, libcontainer.ErrNotRunning) {
			c.pod.log.Warn("kill container", "container", c.id, "err", err)
		}
	})
}

// abandon takes back what a failed launch made and records why.
func (c *container) abandon(cause error) shim.Container {
	c.killAll()
	if c.pidfd != nil {
		_ = c.pidfd.signal(unix.SIGKILL)
	}
	if c.output != nil {
		c.finishOutput()
	}
	state := c.pod.change(c, survivesCrash, func(s *shim.Container) { notStarted(s, startMessage(cause)) })
	c.release()
	return state
}

// notStarted is the end of what never ran.
func notStarted(s *shim.Container, why string) {
	s.Status, s.Reason, s.ExitCode = shim.StatusExited, shim.ReasonStartError, startErrorCode
	s.FinishedAt = time.Now().UTC()
	s.PID = 0
	s.Message = why
}

// startMessage is what a user needs of an error: libcontainer repeats itself.
func startMessage(err error) string {
	return strings.TrimPrefix(err.Error(), "unable to start container process: error during container init: ")
}

// streams are the container's ends of its standard streams, open until it has
// its own.
type streams struct {
	c      *container
	closes []*os.File
	socket *os.File // where the terminal comes from
}

// openStreams makes the FIFOs, or the socket for a terminal, and gives the
// container's ends to the process.
func (c *container) openStreams(r shim.StartRequest, process *libcontainer.Process) (_ *streams, err error) {
	s := &streams{c: c}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := c.prepareOutput(r.Log); err != nil {
		return nil, err
	}
	c.output.open()
	if r.Spec.Process.Terminal {
		return s, s.openTerminal(process)
	}
	return s, s.openFIFOs(r, process)
}

// prepareOutput makes the way into the log, and does not touch the log yet.
func (c *container) prepareOutput(cfg shim.LogConfig) error {
	file := crilog.New(crilog.Config{Path: cfg.Path, MaxSize: cfg.MaxSize, MaxFiles: cfg.MaxFiles, Mode: os.FileMode(cfg.Mode)})
	out, err := newOutput(c.pod.log.With("container", c.id), file, c.pod.journal(c.id))
	if err != nil {
		return err
	}
	c.output = out
	return nil
}

func (s *streams) openFIFOs(r shim.StartRequest, process *libcontainer.Process) error {
	out, err := s.fifo(crilog.Stdout)
	if err != nil {
		return err
	}
	errs, err := s.fifo(crilog.Stderr)
	if err != nil {
		return err
	}
	process.Stdout, process.Stderr = out, errs
	if !r.Stdin {
		return nil
	}
	in, err := s.c.openStdin(r.StdinOnce)
	if err != nil {
		return err
	}
	s.closes = append(s.closes, in)
	process.Stdin = in
	return nil
}

// fifo makes a FIFO, adds its reading side to the output and returns a blocking
// one for the container.
func (s *streams) fifo(stream crilog.Stream) (*os.File, error) {
	path := s.c.pod.fifo(s.c.id, string(stream))
	if err := makeFIFO(path); err != nil {
		return nil, err
	}
	if err := s.c.output.add(stream, path); err != nil {
		return nil, err
	}
	file, err := openFIFO(path, 0)
	if err != nil {
		return nil, err
	}
	s.closes = append(s.closes, file)
	return file, nil
}

// connect is called when the process is there.
func (s *streams) connect() error {
	if s.socket == nil {
		return nil
	}
	return s.c.takeTerminal(s.socket)
}

func (s *streams) close() {
	for _, f := range s.closes {
		f.Close()
	}
	s.closes = nil
}
