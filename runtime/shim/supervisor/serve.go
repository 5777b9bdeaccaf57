package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
	"writ/runtime/shim/confine"
)

// Config says what a supervisor is for.
type Config struct {
	Dir    string // the pod's run directory, absolute
	Cgroup string // where the supervisor itself goes; empty: it stays
	Cache  string // where compiled seccomp profiles are kept; empty: nowhere
	Build  string // version, told in Hello
	Log    *slog.Logger
}

// ErrHeld means that another supervisor serves the directory. Serve returns it
// as it is if the other one answers, and wrapped if it does not.
var ErrHeld = errors.New("another shim serves this directory")

// Serve takes over what is in the directory, calls ready when it listens, and
// answers until Shutdown is asked for or ctx ends. Neither stops a container.
func Serve(ctx context.Context, cfg Config, ready func()) error {
	handed, err := receive()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := prepare(ctx, cfg, handed)
	if err != nil {
		if failed := s.giveBack(err); failed != nil {
			return errors.Join(err, failed)
		}
		return err
	}
	defer s.lock.Close()
	s.shutdown = cancel
	cfg.Log.Info("shim serves", "dir", cfg.Dir, "incarnation", s.pod.hello.Incarnation, "build", cfg.Build)
	ready()
	handed.finish(s.pod)
	return s.serve(ctx)
}

// prepare does all that comes before the first connection. The server is there
// on an error too, as far as it came.
func prepare(ctx context.Context, cfg Config, handed *handover) (s *server, err error) {
	s = &server{log: cfg.Log, handed: handed, again: []string{"serve", "--dir", cfg.Dir, "--cgroup", cfg.Cgroup, "--cache", cfg.Cache}}
	defer func() {
		if r := recover(); r != nil && handed != nil {
			err = fmt.Errorf("take over: %v", r)
		} else if r != nil {
			panic(r)
		}
	}()
	if s.lock, err = handed.lock(ctx, cfg.Dir); err != nil {
		return s, err
	}
	if err := setUpProcess(); err != nil {
		return s, err
	}
	if s.pod, err = open(cfg); err != nil {
		return s, err
	}
	p := s.pod
	p.handed = handed
	if p.filters, err = confine.NewCache(cfg.Cache); err != nil {
		cfg.Log.Warn("seccomp profiles are compiled for each container", "err", err)
	}
	p.tidier.later()
	p.entered = sync.OnceValue(func() error { return enterCgroup(cfg.Cgroup) })
	if handed != nil {
		p.entered = func() error { return nil } // this process is in it
		if handed.Score != nil {
			p.host.defaultScore = *handed.Score
		}
	}
	go func() {
		if err := p.entered(); err != nil {
			cfg.Log.Error("no container can be started", "err", err)
		}
	}()
	if err := p.takeOver(); err != nil {
		return s, err
	}
	go p.reaper.run(ctx) // after it: the children of a handover are known now
	s.listener, err = handed.listen(cfg.Dir)
	return s, err
}

// succeed takes the directory's lock. The last shim may be on its way out and
// hold it for another moment; one that answers stays.
func succeed(ctx context.Context, dir string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, successionLimit)
	defer cancel()
	for {
		lock, err := acquire(paths{dir}.lock())
		if !errors.Is(err, ErrHeld) {
			return lock, err
		}
		if _, err := shim.New(dir).Hello(ctx); err == nil {
			return nil, ErrHeld
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w but does not answer", ErrHeld)
		case <-time.After(successionPeriod):
		}
	}
}

const (
	successionLimit  = 10 * time.Second
	successionPeriod = 2 * time.Millisecond
)

// acquire takes the directory's lock, which ends with the process.
func acquire(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrHeld
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

func setUpProcess() error {
	unix.Umask(0o022)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	return nil
}

// enterCgroup moves this process to where shims belong. It may take 10 ms: the
// kernel waits until no processor is in the middle of a fork. No container is
// started before it is done; the rest need not wait.
func enterCgroup(cgroup string) error {
	if cgroup == "" {
		return nil
	}
	m, err := manager.New(&cgroups.Cgroup{Path: cgroup, Resources: &cgroups.Resources{SkipDevices: true}})
	if err != nil {
		return fmt.Errorf("enter cgroup: %w", err)
	}
	if err := m.Apply(os.Getpid()); err != nil {
		return fmt.Errorf("enter cgroup: %w", err)
	}
	return nil
}

// open reads and raises the incarnation and makes an empty pod.
func open(cfg Config) (*pod, error) {
	bootID, err := readBootID()
	if err != nil {
		return nil, err
	}
	where := paths{cfg.Dir}
	var last self
	if _, err := readJSON(where.self(), &last); err != nil {
		cfg.Log.Warn("record of the last shim is damaged", "err", err)
		last.Incarnation = uint64(time.Now().Unix()) // above any counted one
	}
	who, err := identify(os.Getpid(), bootID)
	if err != nil {
		return nil, err
	}
	me := self{
		PID: who.pid, PIDStart: who.start, BootID: bootID,
		Version: shim.Version, Build: cfg.Build, Incarnation: last.Incarnation + 1,
	}
	if err := writeJSON(where.self(), me, survivesKill); err != nil {
		return nil, fmt.Errorf("record shim: %w", err)
	}
	hello := shim.Hello{
		Version: shim.Version,
		Features: []string{shim.FeatureExec, shim.FeatureTTY, shim.FeatureAttach, shim.FeatureUpdate, shim.FeatureUpgrade, shim.FeatureRuntime,
			shim.FeatureSharePIDs, shim.FeatureUsers, shim.FeatureSysctls},
		PID: me.PID, Incarnation: me.Incarnation, StartedAt: time.Now().UTC(), Build: cfg.Build,
	}
	return newPod(cfg.Dir, cfg.Log, hello, bootID), nil
}

// listen makes the socket. It goes through a descriptor of the directory,
// because addresses are limited to 107 bytes (unix(7)).
func listen(dir string) (*net.UnixListener, error) {
	handle, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	path := shim.SocketPath(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(handle.Fd())), filepath.Base(path))
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}
