package supervisor

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// session is one further process in a container, from exec to its exit code.
type session struct {
	c       *container
	process *libcontainer.Process
	started bool
	orphan  *identity // the process, where another program started it
	pidfd   *pidfd
	tty     *terminal // nil without one

	stdin          io.WriteCloser // nil without
	stdout, stderr *os.File       // reading ends, nil with a terminal
	theirs         []*os.File     // the process's ends, closed once it has them
}

// exec starts a process. The container is in use until wait returns.
func (c *container) exec(r shim.ExecRequest) (*session, error) {
	defer c.pod.tidier.later()
	request, err := c.request()
	if err != nil {
		return nil, err
	}
	if c.foreign != nil {
		return c.execForeign(request, r)
	}
	if err := c.confineExec(request); err != nil {
		return nil, err
	}
	s := &session{c: c}
	if s.process, err = execProcess(request, r); err != nil {
		return nil, err
	}
	defer s.closeTheirs()
	var socket *os.File
	if r.TTY {
		socket, err = s.prepareTerminal(r)
	} else {
		err = s.preparePipes(r.Stdin)
	}
	if err == nil {
		err = s.start(socket)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// execSpec is the container's process with what the request changes.
func execSpec(request shim.StartRequest, r shim.ExecRequest) (*specs.Process, error) {
	spec := *request.Spec.Process
	spec.Args = r.Args
	if len(spec.Args) == 0 {
		return nil, shim.Errorf(shim.CodeInvalid, "exec in %q: there is no command", r.ID)
	}
	if r.Env != nil {
		spec.Env = r.Env
	}
	if r.Cwd != "" {
		spec.Cwd = r.Cwd
	}
	if r.User != nil {
		spec.User = *r.User
	}
	spec.ConsoleSize = nil
	if r.Width > 0 && r.Height > 0 {
		spec.ConsoleSize = &specs.Box{Width: uint(r.Width), Height: uint(r.Height)}
	}
	return &spec, nil
}

func execProcess(request shim.StartRequest, r shim.ExecRequest) (*libcontainer.Process, error) {
	spec, err := execSpec(request, r)
	if err != nil {
		return nil, err
	}
	process, err := newProcess(spec)
	if err != nil {
		return nil, err
	}
	process.ConsoleWidth, process.ConsoleHeight = r.Width, r.Height
	return process, nil
}

func (s *session) prepareTerminal(r shim.ExecRequest) (*os.File, error) {
	ours, theirs, err := consoleSocket(s.process)
	if err != nil {
		return nil, err
	}
	s.theirs = append(s.theirs, ours, theirs)
	return ours, nil
}

func (s *session) preparePipes(withStdin bool) error {
	var out, errs *os.File
	var err error
	if s.stdout, out, err = os.Pipe(); err != nil {
		return err
	}
	s.theirs = append(s.theirs, out)
	if s.stderr, errs, err = os.Pipe(); err != nil {
		return err
	}
	s.theirs = append(s.theirs, errs)
	s.process.Stdout, s.process.Stderr = out, errs
	if withStdin {
		in, ours, err := os.Pipe()
		if err != nil {
			return err
		}
		s.theirs = append(s.theirs, in)
		s.process.Stdin, s.stdin = in, ours
	}
	return nil
}

func (s *session) start(socket *os.File) error {
	end := s.c.pod.reaper.begin()
	defer end()
	if err := s.c.handle.Start(s.process); err != nil {
		return &shim.Error{Code: shim.CodeStart, Message: startMessage(err)}
	}
	s.started = true
	pid, err := s.process.Pid()
	if err != nil {
		return err
	}
	s.c.pod.reaper.keep(pid)
	if s.pidfd, err = openPidfd(pid); err != nil {
		return err
	}
	if socket == nil {
		return nil
	}
	if s.tty, err = receiveTerminal(socket); err != nil {
		return err
	}
	s.stdin = nopCloser{s.tty}
	return nil
}

// nopCloser leaves the terminal open: the end of standard input is a character
// on a terminal, not a state.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// wait returns when the process has ended and all it wrote was copied. When
// ctx ends it is killed.
func (s *session) wait(ctx context.Context, timeout time.Duration, stdout, stderr io.Writer) shim.ExecResult {
	timedOut := false
	stop := context.AfterFunc(ctx, s.kill)
	defer stop()
	var expired *time.Timer
	if timeout > 0 {
		expired = time.AfterFunc(timeout, s.kill)
	}
	var copies sync.WaitGroup
	for from, to := range s.copies(stdout, stderr) {
		copies.Go(func() { s.copy(ctx, to, from) })
	}
	err := s.pidfd.wait()
	if expired != nil {
		timedOut = !expired.Stop()
	}
	s.drain()
	copies.Wait()
	result := shim.ExecResult{TimedOut: timedOut}
	status, werr := s.status()
	if werr != nil {
		result.Error = shim.Errorf(shim.CodeInternal, "wait for exec: %v", errors.Join(err, werr))
		return result
	}
	result.ExitCode = status.ExitStatus()
	if status.Signaled() {
		result.Signal = int(status.Signal())
		result.ExitCode = 128 + result.Signal
	}
	return result
}

func (s *session) copies(stdout, stderr io.Writer) map[*os.File]io.Writer {
	if s.tty != nil {
		return map[*os.File]io.Writer{s.tty.master: stdout}
	}
	return map[*os.File]io.Writer{s.stdout: stdout, s.stderr: stderr}
}

// copy ends with the pipe, or with what is in it once the process has ended.
// If nobody takes the output any more the process is killed: it would only
// wait for ever.
func (s *session) copy(ctx context.Context, to io.Writer, from *os.File) {
	buf := make([]byte, shim.MaxChunk)
	read := from.Read
	for {
		n, err := read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				s.kill()
				return
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			read = func(p []byte) (int, error) { return readNow(from, p) }
		case err != nil || ctx.Err() != nil:
			return
		}
	}
}

// readNow reads what is there, without waiting and whatever the deadline.
func readNow(file *os.File, p []byte) (n int, err error) {
	err = control(file, func(fd int) error {
		n, err = retry(func() (int, error) { return unix.Read(fd, p) })
		if err == nil && n == 0 {
			err = io.EOF
		}
		return err
	})
	return max(n, 0), err
}

// drain ends the copies after the process, also when a child of it holds the
// pipes: all that it wrote is there to be read at once. A terminal takes a
// moment to pass it on.
func (s *session) drain() {
	for _, f := range []*os.File{s.stdout, s.stderr} {
		if f != nil {
			_ = f.SetReadDeadline(time.Unix(1, 0))
		}
	}
	if s.tty != nil {
		s.tty.hangup()
	}
}

func (s *session) kill() { _ = s.pidfd.signal(unix.SIGKILL) }

func (s *session) closeTheirs() {
	for _, f := range s.theirs {
		f.Close()
	}
	s.theirs = nil
}

// close gives back everything. A process that started and was not waited for
// is killed.
func (s *session) close() {
	if s.orphan != nil {
		s.closeForeign()
	}
	if s.started {
		_ = s.process.Signal(unix.SIGKILL) // an error if it was waited for
		_, _ = s.process.Wait()
		pid, _ := s.process.Pid()
		s.c.pod.reaper.release(pid)
	}
	if s.pidfd != nil {
		s.pidfd.close()
	}
	for _, f := range []*os.File{s.stdout, s.stderr} {
		if f != nil {
			f.Close()
		}
	}
	if s.stdin != nil {
		s.stdin.Close()
	}
	if s.tty != nil {
		s.tty.close()
	}
}
