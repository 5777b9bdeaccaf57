package process

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"writ/render/wire"
)

// Process is a running child.
type Process struct {
	Conn *wire.Conn // for one goroutine at a time

	command *exec.Cmd
	stderr  *tail
}

// Start runs a child that waits for what it is told, in namespaces of its own. Whoever starts it calls
// Stop or End.
func Start(program string, args ...string) (*Process, error) {
	command := exec.Command(program, args...)
	confine(command)
	return run(command)
}

// StartOutside is Start in the daemon's own namespaces, for a child that has to know users and to reach
// servers before it confines itself.
func StartOutside(program string, args ...string) (*Process, error) {
	command := exec.Command(program, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return run(command)
}

func run(command *exec.Cmd) (*Process, error) {
	command.Env = []string{"GOMAXPROCS=2", "GOTRACEBACK=none"}
	made := &Process{command: command, stderr: &tail{}}
	command.Stderr = made.stderr
	command.WaitDelay = time.Second // whoever a child has left behind may hold on to its pipe
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := launch(command); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	made.Conn = wire.NewConn(out, in)
	return made, nil
}

// PID is the child's process.
func (c *Process) PID() int { return c.command.Process.Pid }

// Kill ends the child at once; it may be called from any goroutine while another one speaks to it.
func (c *Process) Kill() { _ = c.command.Process.Kill() }

// Stop kills the child and waits until it is gone.
func (c *Process) Stop() {
	c.Kill()
	_ = c.command.Wait()
}

// End stops a child that broke off and says why, as far as it can be known.
func (c *Process) End(cause error) string {
	c.Stop()
	last := c.stderr.buffer.String()
	if strings.Contains(last, "out of memory") || strings.Contains(last, "cannot allocate memory") {
		return "more memory is needed than is allowed"
	}
	if line, _, _ := strings.Cut(last, "\n"); line != "" {
		return line
	}
	return cause.Error()
}

// maxTail bounds what is kept of what a child prints, in bytes.
const maxTail = 4 << 10

// tail keeps the first few kilobytes of what a child prints: a dying Go program says why first.
// The buffer is not embedded: its ReadFrom would take everything.
type tail struct{ buffer bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if room := maxTail - t.buffer.Len(); room > 0 {
		t.buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
