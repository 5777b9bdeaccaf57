//go:build kernel

package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"writ/runtime/shim"
)

func TestExec(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", "sleep 600"))
	tests := []struct {
		name    string
		request shim.ExecRequest
		stdin   string
		out     string
		errs    string
		code    int
		signal  int
	}{
		{name: "output and code", request: sh(`echo out; echo err >&2; exit 42`), out: "out\n", errs: "err\n", code: 42},
		{name: "inherits", request: sh(`echo $HOME; pwd; id -u; hostname`), out: "/tmp\n/\n0\npod-of-test\n"},
		{name: "own environment", request: shim.ExecRequest{
			Args: []string{"/bin/sh", "-c", "echo $A $HOME; pwd; id -u; id -g"}, Env: []string{"PATH=/bin", "A=b", "HOME=/x"},
			Cwd: "/tmp", User: &specs.User{UID: 1000, GID: 2000},
		}, out: "b /x\n/tmp\n1000\n2000\n"},
		{name: "standard input", request: sh(`cat; echo end`), stdin: strings.Repeat("0123456789abcdef", 40_000), out: strings.Repeat("0123456789abcdef", 40_000) + "end\n"},
		{name: "input that nobody reads", request: sh(`exit 3`), stdin: strings.Repeat("x", 1<<20), code: 3},
		{name: "killed", request: sh(`kill -9 $$`), code: 137, signal: 9},
		{name: "leaves a child behind", request: sh(`sleep 600 & echo started`), out: "started\n"},
		{name: "large output", request: sh(`head -c 3000000 /dev/zero | tr '\0' x`), out: strings.Repeat("x", 3_000_000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			streams := shim.Streams{Stdout: &out, Stderr: &errs}
			if tt.stdin != "" {
				streams.Stdin = strings.NewReader(tt.stdin)
			}
			tt.request.ID = "c"
			got, err := r.client.Exec(r.ctx, tt.request, streams)
			if err != nil {
				t.Fatal(err)
			}
			if got.ExitCode != tt.code || got.Signal != tt.signal || got.TimedOut {
				t.Errorf("got %+v, want code %d, signal %d", got, tt.code, tt.signal)
			}
			if out.String() != tt.out {
				t.Errorf("got %d bytes of output %.100q, want %d bytes %.100q", out.Len(), out.String(), len(tt.out), tt.out)
			}
			if errs.String() != tt.errs {
				t.Errorf("got %q as errors, want %q", errs.String(), tt.errs)
			}
		})
	}
}

func sh(script string) shim.ExecRequest {
	return shim.ExecRequest{Args: []string{"/bin/sh", "-c", script}}
}

func TestExec_Refusals(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", "sleep 600"))
	_, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: "c", Args: []string{"nosuch"}}, shim.Streams{})
	if !errors.Is(err, shim.ErrStart) || !strings.Contains(err.Error(), `exec: "nosuch": executable file not found in $PATH`) {
		t.Errorf("exec of a command that is not there: %v", err)
	}
	_, err = r.client.Exec(r.ctx, shim.ExecRequest{ID: "d", Args: []string{"true"}}, shim.Streams{})
	if !errors.Is(err, shim.ErrNotFound) {
		t.Errorf("exec in nothing: %v", err)
	}
	if _, err := r.client.Stop(r.ctx, "c", 0); err != nil {
		t.Fatal(err)
	}
	_, err = r.client.Exec(r.ctx, shim.ExecRequest{ID: "c", Args: []string{"true"}}, shim.Streams{})
	if !errors.Is(err, shim.ErrConflict) {
		t.Errorf("exec in an exited container: %v", err)
	}
}

func TestExec_TimeoutAndHangup(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", "sleep 600"))
	request := sh("echo up; sleep 300")
	request.ID, request.TimeoutMillis = "c", 200
	var out bytes.Buffer
	got, err := r.client.Exec(r.ctx, request, shim.Streams{Stdout: &out})
	if err != nil || !got.TimedOut || got.ExitCode != 137 || out.String() != "up\n" {
		t.Errorf("exec past its time: %+v, %v, %q, want it killed", got, err, out.String())
	}

	ctx, cancel := context.WithCancel(r.ctx)
	request.TimeoutMillis = 0
	begun := make(chan struct{})
	_, err = r.client.Exec(ctx, request, shim.Streams{Stdout: writerFunc(func(p []byte) (int, error) {
		cancel()
		close(begun)
		return len(p), nil
	})})
	<-begun
	if !errors.Is(err, context.Canceled) {
		t.Errorf("exec that was given up: %v", err)
	}
	wait(t, "its shell to be killed", func() bool {
		out, _ := r.exec("c", `ps | grep -c 'echo up' || true`)
		return strings.TrimSpace(out) <= "2" // grep and the shell that runs it
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestExec_Terminal(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", "sleep 600"))
	in, typed := io.Pipe()
	defer typed.Close()
	sizes := make(chan shim.Size, 1)
	screen := &screen{}
	done := make(chan shim.ExecResult, 1)
	go func() {
		result, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: "c", Args: []string{"/bin/sh"}, TTY: true, Width: 91, Height: 17},
			shim.Streams{Stdin: in, Stdout: screen, Resize: sizes})
		if err != nil {
			t.Errorf("exec: %v", err)
		}
		done <- result
	}()
	say := func(text, answer string) {
		t.Helper()
		if _, err := io.WriteString(typed, text); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(screen.String(), answer); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("typed %q, waited in vain for %q; the screen:\n%q", text, answer, screen.String())
			}
		}
	}
	say("stty size\n", "17 91")
	sizes <- shim.Size{Width: 133, Height: 44}
	say("while [ \"$(stty size)\" != '44 133' ]; do sleep 0.01; done; echo resi''zed\n", "resized")
	say("test -t 0 && test -t 1 && echo is a term''inal\n", "is a terminal")
	say("echo sleep''ing; sleep 100\n", "sleeping")
	wait(t, "the command to run", func() bool {
		out, _ := r.exec("c", "ps")
		return strings.Contains(out, "sleep 100")
	})
	if _, err := io.WriteString(typed, "\x03"); err != nil { // interrupt
		t.Fatal(err)
	}
	say("exit 7\n", "exit 7")
	if got := <-done; got.ExitCode != 7 {
		t.Errorf("the shell ended with %+v, want 7; the screen:\n%s", got, screen)
	}
}

type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestContainer_Terminal(t *testing.T) {
	r := pod(t)
	request := r.request("c", `test -t 1 && echo term; read x; echo got $x; exit 4`)
	request.Spec.Process.Terminal = true
	r.start(request)
	wait(t, "the first line", func() bool { return len(r.lines("c")) > 0 })
	in, typed := io.Pipe()
	screen := &screen{}
	done := make(chan shim.ExecResult, 1)
	go func() {
		result, err := r.client.Attach(r.ctx, "c", shim.Streams{Stdin: in, Stdout: screen})
		if err != nil {
			t.Errorf("attach: %v", err)
		}
		done <- result
	}()
	if _, err := io.WriteString(typed, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.ExitCode != 4 || !strings.Contains(screen.String(), "got hello") {
		t.Errorf("attach ended with %+v after %q", got, screen)
	}
	typed.Close()
	if got := texts(r.lines("c")); len(got) != 3 || got[0] != "term" || got[2] != "got hello" {
		t.Errorf("logged %q", got)
	}
}

func TestAttach_StdinOnce(t *testing.T) {
	r := pod(t)
	request := r.request("c", `echo ready; cat; echo; echo end`)
	request.Stdin, request.StdinOnce = true, true
	r.start(request)
	wait(t, "it to be ready", func() bool { return len(r.lines("c")) == 1 })
	var out bytes.Buffer
	result, err := r.client.Attach(r.ctx, "c", shim.Streams{Stdin: strings.NewReader("a\nb"), Stdout: &out})
	if err != nil || result.ExitCode != 0 {
		t.Errorf("attach: %+v, %v", result, err)
	}
	if out.String() != "a\nb\nend\n" {
		t.Errorf("attached client saw %q", out.String())
	}
	if got := strings.Join(texts(r.lines("c")), "|"); got != "ready|a|b|end" {
		t.Errorf("logged %q", got)
	}
}

func TestPeer_LongDirectoryName(t *testing.T) {
	r := newRig(t)
	long := *r
	long.dir = r.dir + strings.Repeat("/a-directory-with-a-long-name", 5)
	t.Cleanup(func() {
		if err := shim.Destroy(context.Background(), shared.binary, long.dir); err != nil {
			t.Error(err)
		}
	})
	long.launch()
	if _, err := long.client.Hello(r.ctx); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(shim.SocketPath(long.dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v, want mode 0600", info, err)
	}
	if err := os.Chmod(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := shim.Launch(r.ctx, shim.LaunchConfig{Binary: shared.binary, Dir: r.dir}); err == nil {
		t.Error("launch in a directory that others may enter was not refused")
	}
}

// endless is an input without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestExec_HangUpWhileInputWaits: a client that sends more than the process
// reads and then goes away takes the process with it.
func TestExec_HangUpWhileInputWaits(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", "sleep 600"))
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := r.client.Exec(ctx, shim.ExecRequest{ID: "c", Args: []string{"sleep", "601"}}, shim.Streams{Stdin: endless{}})
		done <- err
	}()
	runs := func() bool {
		out, _ := r.exec("c", "ps")
		return strings.Contains(out, "sleep 601")
	}
	wait(t, "the process to run", runs)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wait(t, "the process to be killed", func() bool { return !runs() })
}
