//go:build kernel

package supervisor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

const shimGrace = 10 * time.Second

// TestTakeOver_UnderLoad kills the shim again and again while a container
// prints, and wants every line exactly once and the container never restarted.
func TestTakeOver_UnderLoad(t *testing.T) {
	r := pod(t)
	const count = 300_000
	request := r.request("c", fmt.Sprintf(`seq 1 %d; a=$?; seq 1 1000 >&2; exit $((17+a+$?))`, count))
	request.Log.MaxSize = 1 << 20
	request.Log.MaxFiles = 1000
	before := r.start(request)
	r.holdOutput()
	for i := range 8 {
		time.Sleep(time.Duration(i*7) * time.Millisecond) // at different moments
		r.killShim()
		r.launch()
		now := r.state("c")
		if now.Status == shim.StatusRunning && (now.PID != before.PID || now.PIDStart != before.PIDStart) {
			t.Fatalf("after kill %d the container is process %d, was %d", i, now.PID, before.PID)
		}
	}
	got := r.exited("c")
	if got.ExitCode != 17 || got.Reason != shim.ReasonError {
		t.Errorf("exit code %d, %s (%s), want 17", got.ExitCode, got.Reason, got.Message)
	}
	next := map[string]int{"stdout": 1, "stderr": 1}
	for i, l := range r.lines("c") {
		if want := fmt.Sprint(next[l.stream]); l.text != want || l.tag != "F" {
			t.Fatalf("line %d of the log is %v, want %s", i, l, want)
		}
		next[l.stream]++
	}
	if next["stdout"] != count+1 || next["stderr"] != 1001 {
		t.Errorf("logged %v, want each number once", next)
	}
}

// TestTakeOver_ExitMeanwhile lets containers end while no shim is there.
func TestTakeOver_ExitMeanwhile(t *testing.T) {
	r := pod(t)
	flag := filepath.Join(shared.root, "work", r.name)
	t.Cleanup(func() { os.Remove(flag) })
	until := fmt.Sprintf(`echo up; while [ ! -e /work/%s ]; do sleep 0.01; done; `, r.name)
	r.start(r.request("code", until+"echo late; exit 23"))
	r.start(r.request("signal", until+"sleep 600"))
	r.start(r.request("stays", "sleep 600"))
	r.run("before", "exit 5")
	signalled := r.state("signal")
	code := r.state("code")
	wait(t, "them to be up", func() bool { return len(r.lines("code")) == 1 && len(r.lines("signal")) == 1 })
	seq := r.seq()
	r.holdOutput()
	r.killShim()
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	killHard(t, signalled.PID)
	wait(t, "the containers to be gone for good", func() bool { return gone(code.PID) && gone(signalled.PID) })
	r.launch()
	tests := []struct {
		id           string
		code, signal int
		reason       string
	}{{"code", 23, 0, shim.ReasonError}, {"signal", 137, 9, shim.ReasonError}, {"before", 5, 0, shim.ReasonError}}
	for _, tt := range tests {
		got := r.exited(tt.id)
		if got.ExitCode != tt.code || got.Signal != tt.signal || got.Reason != tt.reason {
			t.Errorf("%s: code %d, signal %d, %s, want %d, %d, %s", tt.id, got.ExitCode, got.Signal, got.Reason, tt.code, tt.signal, tt.reason)
		}
	}
	if got := texts(r.lines("code")); len(got) != 2 || got[1] != "late" {
		t.Errorf("logged %q, want what was printed meanwhile too", got)
	}
	if got := r.state("stays"); got.Status != shim.StatusRunning || got.RestoredAt != 2 {
		t.Errorf("stays: %+v, want it running and taken over by shim 2", got)
	}
	var ids []string
	_ = r.client.Events(r.ctx, seq, func(e shim.Event) error {
		if e.Kind == shim.EventSync {
			return errStop
		}
		ids = append(ids, fmt.Sprint(e.Kind, " ", e.Container.ID))
		return nil
	})
	if len(ids) != 2 {
		t.Errorf("events since: %q, want the two exits", ids)
	}
}

// holdOutput reads the events that are past, as a daemon does, with a client
// that stays.
func (r *rig) holdOutput() {
	r.t.Helper()
	client := shim.New(r.dir)
	r.t.Cleanup(client.Close)
	if err := client.Events(r.ctx, 0, func(e shim.Event) error {
		if e.Kind == shim.EventSync {
			return errStop
		}
		return nil
	}); err != errStop {
		r.t.Fatal(err)
	}
}

// gone reports that a process was reaped.
func gone(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return os.IsNotExist(err)
}

func (r *rig) seq() uint64 {
	r.t.Helper()
	state, err := r.client.State(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return state.Seq
}

// TestTakeOver_EverythingWorks uses every operation on a container of another
// shim.
func TestTakeOver_EverythingWorks(t *testing.T) {
	r := pod(t)
	request := r.request("c", `trap 'echo bye; exit 3' TERM; echo up; while true; do sleep 0.01; done`)
	r.start(request)
	wait(t, "it to be up", func() bool { return len(r.lines("c")) == 1 })
	r.killShim()
	r.launch()
	if out, result := r.exec("c", "echo in; exit 4"); out != "in\n" || result.ExitCode != 4 {
		t.Errorf("exec: %q, %+v", out, result)
	}
	if stats, err := r.client.Stats(r.ctx); err != nil || len(stats.Containers) != 1 || stats.Containers[0].MemoryUsage == 0 {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	if got := r.run("second", "hostname"); got.ExitCode != 0 || texts(r.lines("second"))[0] != "pod-of-test" {
		t.Errorf("a second container: %+v", got)
	}
	if got, err := r.client.Stop(r.ctx, "c", shimGrace); err != nil || got.ExitCode != 3 {
		t.Errorf("stop: %+v, %v", got, err)
	}
	if got := texts(r.lines("c")); len(got) != 2 || got[1] != "bye" {
		t.Errorf("logged %q", got)
	}
	for _, id := range []string{"c", "second"} {
		if err := r.client.Remove(r.ctx, id); err != nil {
			t.Error(err)
		}
	}
	if err := r.client.Shutdown(r.ctx); err != nil {
		t.Error(err)
	}
}

// TestTakeOver_StopGoesOn kills the shim between SIGTERM and SIGKILL.
func TestTakeOver_StopGoesOn(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", ignoresTerm))
	wait(t, "the trap to be set", func() bool { return len(r.lines("c")) == 1 })
	ctx, cancel := context.WithCancel(r.ctx)
	go func() { _, _ = r.client.Stop(ctx, "c", time.Second) }()
	wait(t, "the stop", func() bool { return !r.state("c").StopDeadline.IsZero() })
	cancel()
	r.killShim()
	r.launch()
	if got := r.exited("c"); got.Signal != 9 {
		t.Errorf("got %+v, want it killed at its deadline", got)
	}
}

// TestTakeOver_FIFOLeft has what a shim leaves that is killed after it opened the FIFO at which a process waits and
// before it removed it: the process goes on, and nobody opens the FIFO from the other side.
func TestTakeOver_FIFOLeft(t *testing.T) {
	r := pod(t)
	before := r.start(r.request("c", "echo up; sleep 600"))
	wait(t, "it to be up", func() bool { return len(r.lines("c")) == 1 })
	r.killShim()
	fifo := filepath.Join(r.dir, "runc", "c", "exec.fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r.launch()
	if now := r.state("c"); now.Status != shim.StatusRunning || now.PID != before.PID {
		t.Errorf("the container is %s as process %d, was %d", now.Status, now.PID, before.PID)
	}
	if _, err := os.Stat(fifo); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the FIFO is still there: %v", err)
	}
	if out, result := r.exec("c", "echo", "in"); out != "in\n" || result.ExitCode != 0 {
		t.Errorf("exec says %q, %v", out, result)
	}
}

// TestTakeOver_OtherBoot pretends that the machine was restarted.
func TestTakeOver_OtherBoot(t *testing.T) {
	r := pod(t)
	first := r.start(r.request("c", "sleep 600"))
	r.run("done", "exit 2")
	r.killShim()
	for _, file := range []string{"sandbox.json", "c/c/state.json", "c/done/state.json"} {
		path := filepath.Join(r.dir, file)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.ReplaceAll(data, []byte(first.BootID), []byte("another boot"))
		if bytes.Equal(changed, data) {
			t.Fatalf("%s does not name the boot", file)
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	killHard(t, first.PID)
	r.launch()
	state, err := r.client.State(r.ctx)
	if err != nil || state.Sandbox != nil {
		t.Errorf("sandbox of another boot: %+v, %v, want none", state.Sandbox, err)
	}
	if got := r.state("c"); got.Status != shim.StatusExited || got.ExitCode != 137 || got.Reason != shim.ReasonUnknown || got.Message != "the node was restarted" {
		t.Errorf("container of another boot: %+v", got)
	}
	if got := r.state("done"); got.ExitCode != 2 || got.Reason != shim.ReasonError {
		t.Errorf("one that had ended: %+v", got)
	}
}

// TestTakeOver_StrangerWithTheNumber gives a record the number of a process
// that is not the container.
func TestTakeOver_StrangerWithTheNumber(t *testing.T) {
	r := pod(t)
	first := r.start(r.request("c", "sleep 600"))
	r.killShim()
	killHard(t, first.PID)
	wait(t, "it to be reaped", func() bool { return gone(first.PID) })
	path := filepath.Join(r.dir, "c/c/state.json")
	var state shim.Container
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &state)
	}
	if err != nil {
		t.Fatal(err)
	}
	state.PID = os.Getpid() // killing it would be noticed
	if data, err = json.Marshal(state); err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.launch()
	if got := r.exited("c"); got.Signal != 9 {
		t.Errorf("got %+v, want signal 9 from what the kernel kept", got)
	}
}

// TestTakeOver_KilledWhileStarting kills the shim at random moments of starts;
// no container may be left half-made or doubled.
func TestTakeOver_KilledWhileStarting(t *testing.T) {
	r := pod(t)
	for i := range 12 {
		id := fmt.Sprintf("c%d", i)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = r.client.Start(r.ctx, r.request(id, "echo up; sleep 600"))
		}()
		time.Sleep(time.Duration(i) * time.Millisecond)
		r.killShim()
		<-done
		r.launch()
		state, err := r.client.State(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range state.Containers {
			switch {
			case c.Status == shim.StatusRunning && gone(c.PID):
				t.Errorf("%s should run as %d", c.ID, c.PID)
			case c.Status == shim.StatusExited && c.Reason != shim.ReasonStartError:
				t.Errorf("%s: %+v", c.ID, c)
			case c.Status == shim.StatusCreating:
				t.Errorf("%s is still being created", c.ID)
			}
		}
	}
	state, _ := r.client.State(r.ctx)
	for _, c := range state.Containers {
		if _, err := r.client.Stop(r.ctx, c.ID, 0); err != nil {
			t.Error(err)
		}
		if err := r.client.Remove(r.ctx, c.ID); err != nil {
			t.Error(err)
		}
	}
	if err := r.client.Shutdown(r.ctx); err != nil {
		t.Error(err)
	}
}

func TestLaunch_ManyAtOnce(t *testing.T) {
	r := newRig(t)
	r.killShim()
	var all sync.WaitGroup
	pids := make([]int, 6)
	for i := range pids {
		all.Go(func() {
			client, err := shim.Launch(r.ctx, shim.LaunchConfig{Binary: shared.binary, Dir: r.dir})
			if err != nil {
				t.Errorf("launch: %v", err)
				return
			}
			hello, err := client.Hello(r.ctx)
			if err != nil {
				t.Errorf("hello: %v", err)
			}
			pids[i] = hello.PID
		})
	}
	all.Wait()
	for _, pid := range pids {
		if pid != pids[0] {
			t.Errorf("launches found shims %v, want one", pids)
		}
	}
}

// TestRun_Command is how a daemon of an earlier version starts a shim.
func TestRun_Command(t *testing.T) {
	r := newRig(t)
	r.killShim()
	if out, err := exec.Command(shared.binary, "run", "--dir", r.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	hello, err := r.client.Hello(r.ctx)
	if err != nil || hello.Incarnation != 2 {
		t.Errorf("incarnation %d, want 2 (%v)", hello.Incarnation, err)
	}
}

func TestDestroy_OfARunningPod(t *testing.T) {
	r := pod(t)
	state := r.start(r.request("c", "sleep 600"))
	if err := shim.Destroy(r.ctx, shared.binary, r.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
		t.Errorf("directory is still there: %v", err)
	}
	wait(t, "the container to be gone", func() bool { return gone(state.PID) })
	if err := shim.Destroy(r.ctx, shared.binary, r.dir); err != nil {
		t.Errorf("destroy again: %v", err)
	}
}

// TestTakeOver_SignalNotSent: a shim that was killed between the record of a stop and its signal leaves that to the
// next one. One that was sent is not sent again.
func TestTakeOver_SignalNotSent(t *testing.T) {
	r := pod(t)
	for id, code := range map[string]int{"unsent": 3, "sent": 4} {
		r.start(r.request(id, fmt.Sprintf("trap 'exit %d' TERM; echo up; while :; do sleep 0.05; done", code)))
		wait(t, "it to be up", func() bool { return len(r.lines(id)) == 1 })
	}
	r.killShim()
	for id, signal := range map[string]int{"unsent": 15, "sent": 0} {
		path := filepath.Join(r.dir, "c", id, "state.json")
		var state shim.Container
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &state)
		}
		state.StopDeadline, state.StopUnsent = time.Now().Add(time.Hour), signal
		edited, failed := json.Marshal(state)
		if err := errors.Join(err, failed, os.WriteFile(path, edited, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	r.launch()
	if got := r.exited("unsent"); got.ExitCode != 3 {
		t.Errorf("unsent: %+v, want it to have ended by its signal", got)
	}
	if out, _ := r.exec("sent", "echo runs"); out != "runs\n" {
		t.Errorf("sent: exec printed %q", out)
	}
}
