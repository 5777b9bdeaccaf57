package supervisor

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

func emptyPod(t *testing.T) *pod {
	return newPod(t.TempDir(), slog.New(slog.DiscardHandler), shim.Hello{Incarnation: 1}, "boot")
}

func (p *pod) running(t *testing.T, id string) *container {
	t.Helper()
	if err := os.MkdirAll(p.container(id), 0o700); err != nil {
		t.Fatal(err)
	}
	c := newContainer(p, shim.Container{ID: id, Status: shim.StatusRunning})
	p.containers[id] = c
	return c
}

// TestStop_NotWhileThePodStandsStill: a stop that meets an upgrade has begun wholly or not at all. One that
// had only noted its deadline would never send its signal.
func TestStop_NotWhileThePodStandsStill(t *testing.T) {
	p := emptyPod(t)
	c := p.running(t, "c")
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sleep.Process.Kill(); sleep.Wait() })
	var err error
	if c.pidfd, err = openPidfd(sleep.Process.Pid); err != nil {
		t.Fatal(err)
	}
	defer c.pidfd.close()
	deadline := func() time.Time {
		p.mu.Lock()
		defer p.mu.Unlock()
		return c.state.StopDeadline
	}

	p.still.Lock()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		_, err := p.stop(ctx, shim.StopRequest{ID: "c", GraceMillis: 600_000, Signal: "TERM"})
		stopped <- err
	}()
	for range 50 {
		if at := deadline(); !at.IsZero() {
			t.Fatalf("a stop until %s began while the pod stood still", at)
		}
		time.Sleep(time.Millisecond)
	}
	p.still.Unlock()
	if err := c.pidfd.wait(); err != nil {
		t.Fatal(err)
	}
	if status, known := peekPID(c); !known || status.Signal() != unix.SIGTERM {
		t.Errorf("it ended with %v, want SIGTERM", status)
	}
	if deadline().IsZero() {
		t.Error("the stop has no deadline")
	}
	cancel()
	<-stopped
	p.change(c, survivesKill, func(s *shim.Container) { s.Status = shim.StatusExited })
	p.work.Wait()
}

func peekPID(c *container) (unix.WaitStatus, bool) {
	stat, err := readStat(c.pidfd.pid)
	if err != nil {
		return 0, false
	}
	return c.pidfd.exitStatus(stat.start)
}

// TestPauseOutput_OfAHalfTakenPod: a takeover that failed gives everything back, whatever it had come to.
func TestPauseOutput_OfAHalfTakenPod(t *testing.T) {
	p := emptyPod(t)
	p.running(t, "untouched")
	tty := p.running(t, "tty")
	tty.terminal = &terminal{}
	tty.output = &output{terminal: tty.terminal, kept: []byte("begun ")}
	terminals, resume, err := p.pauseOutput()
	defer resume()
	if err != nil || len(terminals) != 1 || string(terminals["tty"].Kept) != "begun " {
		t.Errorf("terminals: %v, %v, want the line that was begun", terminals, err)
	}
}

// TestForeign_OutputHeldByWhatItLeaves: a program that has ended is not waited for any longer.
func TestForeign_OutputHeldByWhatItLeaves(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nsleep 1000 &\necho $! >"+filepath.Join(dir, "left")+"\necho said\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := &foreign{Runtime: shim.Runtime{Name: "program", Path: program, Root: dir}, id: "c", dir: dir}
	t.Cleanup(func() {
		left, _ := os.ReadFile(filepath.Join(dir, "left"))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(left))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	type answer struct {
		out string
		err error
	}
	called := make(chan answer, 1)
	go func() {
		out, err := f.call(foreignLimit, "state", "c")
		called <- answer{string(out), err}
	}()
	select {
	case got := <-called:
		if got.err != nil || got.out != "said\n" {
			t.Errorf("it printed %q, %v", got.out, got.err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the call did not end with its program")
	}
}
