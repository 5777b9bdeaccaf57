package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// creating is a pod with a container that is being started.
func creating(t *testing.T) (*pod, *container) {
	t.Helper()
	p := newPod(t.TempDir(), slog.New(slog.DiscardHandler), shim.Hello{Incarnation: 1}, "boot")
	c := newContainer(p, shim.Container{ID: "c", Status: shim.StatusCreating})
	if err := p.enrol(c); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(p.container("c"), 0o700); err != nil {
		t.Fatal(err)
	}
	return p, c
}

// TestStop_WhileCreating: a stop that comes too early is not lost.
func TestStop_WhileCreating(t *testing.T) {
	p, c := creating(t)
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var err error
	if c.pidfd, err = openPidfd(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() {
		_, err := p.stop(t.Context(), shim.StopRequest{ID: "c", Signal: "TERM", GraceMillis: time.Hour.Milliseconds()})
		stopped <- err
	}()
	p.change(c, survivesKill, func(s *shim.Container) { s.Status = shim.StatusRunning })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the process of a container that began to run after the stop was asked for was not signalled")
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended by %v, want SIGTERM", status.Signal())
	}
	p.change(c, survivesKill, func(s *shim.Container) { s.Status = shim.StatusExited })
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	p.work.Wait()
}

// TestStop_GivesUp: what never begins does not hold a stop.
func TestStop_GivesUp(t *testing.T) {
	p, _ := creating(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.stop(ctx, shim.StopRequest{ID: "c", Signal: "TERM"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	p.mu.Lock()
	delete(p.containers, "c")
	p.tell()
	p.mu.Unlock()
	_, err := p.stop(t.Context(), shim.StopRequest{ID: "c", Signal: "TERM"})
	if !errors.Is(err, shim.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestEnrol: nothing begins in a pod that was closed after it was admitted.
func TestEnrol(t *testing.T) {
	p, c := creating(t)
	if err := p.enrol(newContainer(p, shim.Container{ID: "c"})); !errors.Is(err, shim.ErrExists) {
		t.Errorf("a second one of the name: %v", err)
	}
	if p.containers["c"] != c {
		t.Error("the first one was replaced")
	}
	p.closing = true
	if err := p.enrol(newContainer(p, shim.Container{ID: "d"})); !errors.Is(err, shim.ErrConflict) || p.containers["d"] != nil {
		t.Errorf("in a closed pod: %v", err)
	}
}

// TestStop_NotesTheSignal before it is sent, and that it was: the program that sends it sees the record.
func TestStop_NotesTheSignal(t *testing.T) {
	p, c := creating(t)
	program := filepath.Join(t.TempDir(), "runtime")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ncp state.json seen.json\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.foreign = &foreign{Runtime: shim.Runtime{Name: "copies", Path: program, Root: t.TempDir()}, id: "c", dir: p.container("c")}
	p.change(c, survivesKill, func(s *shim.Container) { s.Status = shim.StatusRunning })
	c.beginStop(syscall.SIGUSR1, time.Hour)
	for path, want := range map[string]int{p.state("c"): 0, filepath.Join(p.container("c"), "seen.json"): int(syscall.SIGUSR1)} {
		var state shim.Container
		if found, err := readJSON(path, &state); err != nil || !found || state.StopUnsent != want || state.StopDeadline.IsZero() {
			t.Errorf("%s: %+v, %v, want %d", path, state, err, want)
		}
	}
	p.change(c, survivesKill, func(s *shim.Container) { s.Status = shim.StatusExited })
	p.work.Wait()
}

// TestExec_IsGivenUp: a program that hangs over an exec holds up whoever asked for it for a time, and the container
// until it returns.
func TestExec_IsGivenUp(t *testing.T) {
	p, c := creating(t)
	gate, program := filepath.Join(t.TempDir(), "gate"), filepath.Join(t.TempDir(), "runtime")
	script := "#!/bin/sh\ncat " + gate + "\nexit 1\n"
	request := shim.StartRequest{ID: "c", Spec: &specs.Spec{Process: &specs.Process{Args: []string{"true"}}}}
	err := errors.Join(unix.Mkfifo(gate, 0o600), os.WriteFile(program, []byte(script), 0o700), writeJSON(p.request("c"), request, survivesKill))
	if err != nil {
		t.Fatal(err)
	}
	c.foreign = &foreign{Runtime: shim.Runtime{Name: "hangs", Path: program, Root: t.TempDir()}, id: "c", dir: p.container("c")}
	p.change(c, survivesKill, func(s *shim.Container) { s.Status = shim.StatusRunning })
	exec := shim.ExecRequest{ID: "c", Args: []string{"true"}}
	if _, err := c.execWithin(exec, 50*time.Millisecond); !errors.Is(err, shim.ErrTimeout) {
		t.Errorf("one that hangs: %v", err)
	}
	if _, err := c.execWithin(exec, time.Hour); !errors.Is(err, shim.ErrConflict) {
		t.Errorf("one beside one that hangs: %v", err)
	}
	free := make(chan struct{})
	go func() { c.users.Wait(); close(free) }()
	select {
	case <-free:
		t.Error("the container is given back while an exec uses it")
	default:
	}
	open, err := os.OpenFile(gate, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(gate)
	open.Close()
	<-free
	if _, err := c.execWithin(exec, time.Hour); !errors.Is(err, shim.ErrStart) {
		t.Errorf("one afterwards: %v", err)
	}
}
