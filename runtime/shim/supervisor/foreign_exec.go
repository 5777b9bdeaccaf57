package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// execs numbers the files of processes that other programs start.
type execs struct{ last atomic.Uint64 }

func (e *execs) next() string { return "exec" + strconv.FormatUint(e.last.Add(1), 10) }

// execForeign is exec by another program, which leaves the process to the shim.
func (c *container) execForeign(request shim.StartRequest, r shim.ExecRequest) (*session, error) {
	spec, err := execSpec(request, r)
	if err != nil {
		return nil, err
	}
	spec.Terminal = r.TTY
	name := c.execs.next()
	defer c.foreign.clean(name)
	if err := writeJSON(c.foreign.file(name+".json"), spec, survivesKill); err != nil {
		return nil, err
	}
	s := &session{c: c, process: &libcontainer.Process{}}
	defer s.closeTheirs()
	var console *consoleListener
	if r.TTY {
		if console, err = listenConsole(c.foreign.file(name + ".console")); err != nil {
			return nil, err
		}
		defer console.close()
	} else if err := s.preparePipes(r.Stdin); err != nil {
		s.close()
		return nil, err
	}
	if err := s.startForeign(name, console); err != nil {
		s.close()
		return nil, err
	}
	if console == nil {
		return s, nil
	}
	err = console.receive(func(socket *os.File) (err error) {
		s.tty, err = receiveTerminal(socket)
		return err
	})
	if err != nil {
		s.close()
		return nil, err
	}
	s.stdin = nopCloser{s.tty}
	return s, nil
}

func (s *session) startForeign(name string, console *consoleListener) error {
	f := s.c.foreign
	args := []string{"exec", "--detach", "--pid-file", f.file(name + ".pid"), "--process", f.file(name + ".json")}
	if console != nil {
		args = append(args, "--console-socket", console.path())
	}
	defer s.c.pod.reaper.begin()()
	ctx, cancel := context.WithTimeout(context.Background(), foreignLimit)
	defer cancel()
	cmd := f.command(ctx, append(args, f.id)...)
	if console == nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.process.Stdin, s.process.Stdout, s.process.Stderr
	}
	if err := f.run(cmd); err != nil {
		return &shim.Error{Code: shim.CodeStart, Message: startMessage(f.why(err, ""))}
	}
	pid, err := f.readPID(name + ".pid")
	if err != nil {
		return err
	}
	s.c.pod.reaper.keep(pid)
	who, err := identify(pid, s.c.pod.bootID)
	if err != nil {
		return err
	}
	s.orphan = &who
	s.pidfd, err = openPidfd(pid)
	return err
}

// clean removes the files of a process that was started.
func (f *foreign) clean(name string) {
	left, _ := filepath.Glob(f.file(strings.TrimSpace(name) + ".*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// status takes the zombie of a process that has ended and says how it did.
func (s *session) status() (syscall.WaitStatus, error) {
	if s.orphan == nil {
		state, err := s.process.Wait()
		if state == nil {
			return 0, err
		}
		status, _ := state.Sys().(syscall.WaitStatus)
		return status, nil
	}
	status, known := s.pidfd.exitStatus(s.orphan.start)
	s.bury()
	if !known {
		return 0, errors.New("the kernel did not keep its exit code")
	}
	return syscall.WaitStatus(status), nil
}

// bury takes the zombie of a process that another program started.
func (s *session) bury() {
	_, _ = unix.Wait4(s.orphan.pid, nil, unix.WNOHANG, nil)
	s.c.pod.reaper.release(s.orphan.pid)
}

// closeForeign kills a process that was not waited for.
func (s *session) closeForeign() {
	if s.pidfd != nil {
		_ = s.pidfd.signal(unix.SIGKILL)
		_ = s.pidfd.wait()
	}
	s.bury()
}
