//go:build kernel

package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// upgrade makes the shim another program, and tries again while it is busy.
func (r *rig) upgrade(to string) shim.Hello {
	r.t.Helper()
	var hello shim.Hello
	wait(r.t, "the upgrade", func() bool {
		var err error
		if hello, err = r.client.Upgrade(r.ctx, to); err != nil && !errors.Is(err, shim.ErrConflict) {
			r.t.Fatal(err)
		}
		return err == nil
	})
	return hello
}

// types attaches, sends a line and waits for what it answers.
func (r *rig) types(id, line, answer string) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	in, keys := io.Pipe()
	defer keys.Close()
	seen := &screen{}
	done := make(chan error, 1)
	go func() {
		_, err := r.client.Attach(ctx, id, shim.Streams{Stdin: in, Stdout: seen})
		done <- err
	}()
	go fmt.Fprintln(keys, line)
	wait(r.t, "the answer "+answer, func() bool { return strings.Contains(seen.String(), answer) })
	cancel()
	<-done
}

func numbers(t *testing.T, lines []line, from, to int) {
	t.Helper()
	at := from
	for _, l := range lines {
		if l.text != fmt.Sprint("line ", at) || l.tag != "F" {
			t.Fatalf("got %q (%s) where line %d was expected", l.text, l.tag, at)
		}
		at++
	}
	if at-1 < to {
		t.Fatalf("the last line is %d, want at least %d", at-1, to)
	}
}

func TestUpgrade_KeepsEverything(t *testing.T) {
	r := pod(t)
	r.start(r.request("writer", "i=1; while [ $i -le 20000 ]; do echo line $i; i=$((i+1)); done; exit 7"))
	tty := r.request("tty", `printf "begun "; read x; echo "got $x"; while read y; do echo "again $y"; done`)
	tty.Spec.Process.Terminal, tty.Stdin = true, true
	r.start(tty)
	once := r.request("once", "cat; echo end")
	once.Stdin, once.StdinOnce = true, true
	r.start(once)
	r.start(r.request("sleeper", "sleep", "1000"))
	before, err := r.client.State(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.client.Hello(r.ctx)
	if err != nil || first.Build != "one" || !first.Can(shim.FeatureUpgrade) {
		t.Fatalf("hello: %v, %+v", err, first)
	}
	for i := range 6 {
		to, want := shared.next, "two"
		if i%2 == 1 {
			to, want = shared.binary, "one"
		}
		hello := r.upgrade(to)
		if hello.PID != first.PID || hello.Build != want || hello.Incarnation != first.Incarnation+uint64(i)+1 {
			t.Fatalf("upgrade %d: %+v, was %+v", i, hello, first)
		}
		if same, err := hello.Runs(to); err != nil || !same {
			t.Errorf("upgrade %d runs another file: %v", i, err)
		}
	}
	r.types("tty", "hello", "got hello")
	if out, _ := r.exec("sleeper", "echo here"); out != "here\n" {
		t.Errorf("exec printed %q", out)
	}
	for _, c := range before.Containers {
		if now := r.state(c.ID); now.Status == shim.StatusRunning && now.PID != c.PID {
			t.Errorf("container %s has process %d, had %d", c.ID, now.PID, c.PID)
		}
	}
	if got := r.state("once").Status; got != shim.StatusRunning {
		t.Errorf("the container that waits for the end of its input is %s", got)
	}
	r.types("once", "one", "one") // and leaves, which is the end
	if c := r.exited("once"); c.ExitCode != 0 {
		t.Errorf("once: %+v", c)
	}
	if c := r.exited("writer"); c.ExitCode != 7 {
		t.Errorf("writer: %+v", c)
	}
	numbers(t, r.lines("writer"), 1, 20000)
	if c := r.state("tty"); c.Status != shim.StatusRunning {
		t.Errorf("tty: %+v", c)
	}
	if got := r.lines("tty"); len(got) == 0 || !strings.HasPrefix(got[0].text, "begun ") {
		t.Errorf("the terminal's log begins with %v", got)
	}
	r.upgrade(shared.next)
	r.types("tty", "more", "again more")
	if left := zombies(t, first.PID); left != "" {
		t.Errorf("zombies: %s", left)
	}
	if fds := descriptors(t, first.PID); fds > 60 {
		t.Errorf("the shim has %d descriptors after 7 upgrades", fds)
	}
}

// zombies lists a process's children that nobody has waited for.
func zombies(t *testing.T, pid int) string {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(files) == 0 {
		t.Fatal("no threads", err)
	}
	var out []string
	for _, f := range files {
		data, _ := os.ReadFile(f)
		for _, child := range strings.Fields(string(data)) {
			if stat, err := os.ReadFile("/proc/" + child + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
				out = append(out, string(stat))
			}
		}
	}
	return strings.Join(out, ", ")
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestUpgrade_WaitsForSessions(t *testing.T) {
	r := pod(t)
	r.start(r.request("main", "sleep", "1000"))
	in, keys := io.Pipe()
	seen := &screen{}
	done := make(chan error, 1)
	go func() {
		result, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: "main", Args: []string{"/bin/sh"}, TTY: true}, shim.Streams{Stdin: in, Stdout: seen})
		if err == nil && result.ExitCode != 5 {
			err = fmt.Errorf("exit code %d", result.ExitCode)
		}
		done <- err
	}()
	fmt.Fprintln(keys, "echo a$((1+1))b")
	wait(t, "the shell", func() bool { return strings.Contains(seen.String(), "a2b") })
	if _, err := r.client.Upgrade(r.ctx, shared.next); !errors.Is(err, shim.ErrConflict) || !strings.Contains(err.Error(), "an exec or attach is open") {
		t.Errorf("upgrade beside a session: %v", err)
	}
	fmt.Fprintln(keys, "echo c$((2+2))d; exit 5")
	if err := <-done; err != nil || !strings.Contains(seen.String(), "c4d") {
		t.Errorf("session: %v", err)
	}
	if hello := r.upgrade(shared.next); hello.Build != "two" {
		t.Errorf("hello: %+v", hello)
	}
	r.start(r.request("slow", `trap "" TERM; echo deaf; while :; do sleep 1; done`))
	wait(t, "its trap", func() bool { return len(r.lines("slow")) > 0 })
	go r.client.Stop(r.ctx, "slow", 1000_000_000_000)
	wait(t, "the stop", func() bool { return !r.state("slow").StopDeadline.IsZero() })
	if _, err := r.client.Upgrade(r.ctx, shared.binary); !errors.Is(err, shim.ErrConflict) {
		t.Errorf("upgrade beside a stop: %v", err)
	}
}

// TestUpgrade_LosesNoRequest sends requests all the time: each is answered, by the one program or the other.
func TestUpgrade_LosesNoRequest(t *testing.T) {
	r := pod(t)
	r.start(r.request("main", "sleep", "1000"))
	ctx, cancel := context.WithCancel(r.ctx)
	var clients sync.WaitGroup
	var answered [3]int
	for i, ask := range []func() error{
		func() error { _, err := r.client.State(r.ctx); return err },
		func() error { return r.client.PutRecord(r.ctx, make([]byte, 100_000)) },
		func() error {
			result, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: "main", Args: []string{"/bin/true"}}, shim.Streams{})
			if err == nil && result.ExitCode != 0 {
				err = fmt.Errorf("exit code %d", result.ExitCode)
			}
			return err
		},
	} {
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := ask(); err != nil {
					t.Errorf("request %d: %v", i, err)
					return
				}
				answered[i]++
			}
		})
	}
	for i := range 10 {
		r.upgrade([]string{shared.next, shared.binary}[i%2])
	}
	cancel()
	clients.Wait()
	t.Logf("answered: %v", answered)
}

func TestUpgrade_BadPrograms(t *testing.T) {
	r := pod(t)
	r.start(r.request("main", "i=1; while :; do echo line $i; i=$((i+1)); sleep 0.001; done"))
	tty := r.request("tty", `while read y; do echo "got $y"; done`)
	tty.Spec.Process.Terminal, tty.Stdin = true, true
	r.start(tty)
	hello, err := r.client.Hello(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	script := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong := `[ "$1" = check ] && exec ` + shared.next + ` "$@"; exec ` + shared.next + " serve --dir " + filepath.Join(r.dir, "not", "there")
	for _, tt := range []struct{ name, path, want string }{
		{"relative", "writ-shim", "not an absolute path"},
		{"missing", "/no/such/program", "no such file"},
		{"another", "/bin/true", "cannot take over"},
		{"an old one", script("old", "echo usage: run or serve >&2; exit 2"), "usage: run or serve"},
		{"one that cannot", script("wrong", wrong), "the old one goes on"},
	} {
		var err error
		wait(t, "a refusal", func() bool {
			_, err = r.client.Upgrade(r.ctx, tt.path)
			return !errors.Is(err, shim.ErrConflict)
		})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		now, err := r.client.Hello(r.ctx)
		if err != nil || now.Build != "one" || now.PID != hello.PID {
			t.Fatalf("%s: %v, the shim is %+v, was %+v", tt.name, err, now, hello)
		}
	}
	r.types("tty", "hello", "got hello")
	wait(t, "ten lines", func() bool { return len(r.lines("main")) >= 10 })
	if _, err := r.client.Stop(r.ctx, "main", 0); err != nil {
		t.Fatal(err)
	}
	numbers(t, r.lines("main"), 1, 10)
	if err := unix.Kill(hello.PID, 0); err != nil {
		t.Error(err)
	}
}

// TestUpgrade_KeepsTheEndOfInput: what a client has ended stays ended, also if the container comes to it only
// with the next shim.
func TestUpgrade_KeepsTheEndOfInput(t *testing.T) {
	for name, next := range map[string]func(*rig){
		"upgraded": func(r *rig) { r.upgrade(shared.next) },
		"killed":   func(r *rig) { r.killShim(); r.launch() },
	} {
		t.Run(name, func(t *testing.T) {
			r := pod(t)
			once := r.request("once", "while [ ! -e /tmp/go ]; do sleep 0.02; done; cat; echo end")
			once.Stdin, once.StdinOnce = true, true
			r.start(once)
			hello, err := r.client.Hello(r.ctx)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(r.ctx)
			done := make(chan error, 1)
			go func() {
				_, err := r.client.Attach(ctx, "once", shim.Streams{Stdin: strings.NewReader("typed\n")})
				done <- err
			}()
			wait(t, "the end of the input", func() bool { return !holds(hello.PID, filepath.Join(r.dir, "c", "once", "stdin")) })
			cancel()
			<-done
			next(r)
			r.exec("once", "/bin/touch", "/tmp/go")
			if c := r.exited("once"); c.ExitCode != 0 {
				t.Errorf("once: %+v", c)
			}
			if want := []line{{"stdout", "F", "typed"}, {"stdout", "F", "end"}}; !sameLines(r.lines("once"), want) {
				t.Errorf("logged %v, want %v", r.lines("once"), want)
			}
		})
	}
}

// holds reports whether a process has a file open.
func holds(pid int, path string) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, path) {
			return true
		}
	}
	return false
}

// TestUpgrade_ContainerLeftItsTerminal: nobody reads a terminal that nobody has open, and nobody is waited for.
func TestUpgrade_ContainerLeftItsTerminal(t *testing.T) {
	r := pod(t)
	tty := r.request("tty", "exec sleep 1000 </dev/null >/dev/null 2>&1")
	tty.Spec.Process.Terminal = true
	c := r.start(tty)
	wait(t, "it to leave the terminal", func() bool {
		return !holds(c.PID, "/dev/pts/") && !holds(c.PID, "/dev/console") && holds(c.PID, "/dev/null")
	})
	if hello := r.upgrade(shared.next); hello.Build != "two" {
		t.Errorf("hello: %+v", hello)
	}
	if now := r.state("tty"); now.PID != c.PID || now.Status != shim.StatusRunning {
		t.Errorf("tty: %+v, was %+v", now, c)
	}
}

// TestUpgrade_OOMScore: how the shim is protected itself is not for containers that ask for no score.
func TestUpgrade_OOMScore(t *testing.T) {
	r := pod(t)
	r.killShim()
	score := func(pid int) string { return fmt.Sprintf("/proc/%d/oom_score_adj", pid) }
	set := func(pid, to int) {
		if err := os.WriteFile(score(pid), []byte(strconv.Itoa(to)), 0); err != nil {
			t.Fatal(err)
		}
	}
	own, err := os.ReadFile(score(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(score(os.Getpid()), own, 0)
	const started = 500
	set(os.Getpid(), started) // what the shim is started with is the containers'
	r.launch()
	hello, err := r.client.Hello(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	set(hello.PID, 400) // protects it, as it does itself where it may
	for i, to := range []string{shared.next, shared.binary} {
		r.upgrade(to)
		c := r.start(r.request(fmt.Sprint("c", i), "sleep", "1000"))
		if got, err := os.ReadFile(score(c.PID)); err != nil || strings.TrimSpace(string(got)) != strconv.Itoa(started) {
			t.Errorf("after upgrade %d oom_score_adj is %q, %v, want %d", i, got, err, started)
		}
	}
}
