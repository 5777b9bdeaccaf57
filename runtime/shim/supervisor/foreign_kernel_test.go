//go:build kernel

package supervisor_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// otherRuntime is a program that can run containers here: crun, where it takes the machine's cgroups, or runc.
func otherRuntime(t *testing.T) *shim.Runtime {
	t.Helper()
	for _, name := range []string{"crun", "runc"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		r := pod(t)
		if _, err := r.client.Start(r.ctx, foreignRequest(r, "probe", &shim.Runtime{Name: name, Path: path}, "true")); err != nil {
			t.Logf("%s does not run containers here: %v", name, err)
			continue
		}
		t.Logf("the other runtime is %s", path)
		return &shim.Runtime{Name: name, Path: path}
	}
	t.Skip("neither crun nor runc is installed and accepts the cgroups of this machine")
	return nil
}

func foreignRequest(r *rig, id string, by *shim.Runtime, args ...string) shim.StartRequest {
	request := r.request(id, args...)
	request.Runtime = by
	return request
}

func TestForeign(t *testing.T) {
	by := otherRuntime(t)
	r := pod(t)
	hello, err := r.client.Hello(r.ctx)
	if err != nil || !strings.Contains(strings.Join(hello.Features, " "), shim.FeatureRuntime) {
		t.Errorf("features are %v (%v), want %s", hello.Features, err, shim.FeatureRuntime)
	}

	// Streams, log and exit code are the shim's.
	r.start(foreignRequest(r, "exits", by, "echo out; echo err >&2; hostname; exit 42"))
	if got := r.exited("exits"); got.ExitCode != 42 || got.Reason != shim.ReasonError {
		t.Errorf("exit: got %d %s, want 42 Error", got.ExitCode, got.Reason)
	}
	if want := []line{{"stdout", "F", "out"}, {"stderr", "F", "err"}, {"stdout", "F", "pod-of-test"}}; !sameLines(r.lines("exits"), want) {
		t.Errorf("logged %v, want %v", r.lines("exits"), want)
	}

	limit, swap := int64(64<<20), int64(64<<20)
	running := foreignRequest(r, "runs", by, "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done")
	running.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &swap}
	state := r.start(running)
	if state.Status != shim.StatusRunning || state.PID == 0 {
		t.Fatalf("got %+v", state)
	}
	if root := by.Root; root == "" {
		if _, err := os.Stat(filepath.Join(r.dir, "oci", by.Name, "runs")); err != nil {
			t.Errorf("%s does not hold the container: %v", by.Name, err)
		}
	}
	if out, result := r.exec("runs", "echo in; id -u; exit 3"); out != "in\n0\n" || result.ExitCode != 3 {
		t.Errorf("exec: %q and %d, want in, 0 and 3", out, result.ExitCode)
	}
	var out bytes.Buffer
	if _, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: "runs", Args: []string{"/bin/nosuch"}}, shim.Streams{Stdout: &out}); !errors.Is(err, shim.ErrStart) {
		t.Errorf("exec of what is not there: %v, want a start error", err)
	}
	tty, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: "runs", Args: []string{"/bin/sh", "-c", "stty size; exit 9"}, TTY: true, Width: 100, Height: 30}, shim.Streams{Stdout: &out})
	if err != nil || tty.ExitCode != 9 || !strings.Contains(out.String(), "30 100") {
		t.Errorf("exec on a terminal: %d %v, printed %q, want 9 and 30 100", tty.ExitCode, err, out.String())
	}
	killed, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: "runs", Args: []string{"/bin/sleep", "60"}, TimeoutMillis: 100}, shim.Streams{})
	if err != nil || !killed.TimedOut || killed.Signal != 9 {
		t.Errorf("exec that takes too long: %+v %v", killed, err)
	}

	more := int64(128 << 20)
	if err := r.client.Update(r.ctx, shim.UpdateRequest{ID: "runs", Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &more, Swap: &more}}}); err != nil {
		t.Errorf("update: %v", err)
	}
	stats, err := r.client.Stats(r.ctx)
	if err != nil || len(stats.Containers) != 1 || stats.Containers[0].MemoryLimit != uint64(more) {
		t.Errorf("stats: %+v %v, want a limit of %d", stats, err, more)
	}

	// A new shim takes it over, and sees how it ends.
	r.killShim()
	r.launch()
	if got := r.state("runs"); got.Status != shim.StatusRunning || got.RestoredAt == 0 {
		t.Fatalf("taken over: %+v", got)
	}
	if out, _ := r.exec("runs", "echo again"); out != "again\n" {
		t.Errorf("exec after the shim was replaced: %q", out)
	}
	if _, err := r.client.StopWith(r.ctx, "runs", 20e9, ""); err != nil {
		t.Fatal(err)
	}
	if got := r.exited("runs"); got.ExitCode != 5 {
		t.Errorf("stopped: exit code %d, want 5", got.ExitCode)
	}
	if err := r.client.Remove(r.ctx, "runs"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "oci", by.Name, "runs")); !os.IsNotExist(err) {
		t.Errorf("the program still knows the container: %v", err)
	}
}

func TestForeign_Ends(t *testing.T) {
	by := otherRuntime(t)
	r := pod(t)
	got, err := r.client.Start(r.ctx, foreignRequest(r, "nosuch", by, "/nosuch", "x"))
	if !errors.Is(err, shim.ErrStart) || got.Reason != shim.ReasonStartError || got.ExitCode != 128 || !strings.Contains(got.Message, "nosuch") {
		t.Errorf("a command that is not there: %+v %v", got, err)
	}
	r.start(foreignRequest(r, "stubborn", by, "trap '' TERM; while :; do sleep 0.05; done"))
	if _, err := r.client.StopWith(r.ctx, "stubborn", 1e8, ""); err != nil {
		t.Fatal(err)
	}
	if got := r.exited("stubborn"); got.ExitCode != 137 || got.Signal != 9 {
		t.Errorf("what ignores its signal: %d by %d, want 137 by 9", got.ExitCode, got.Signal)
	}
	limit := int64(8 << 20)
	eater := foreignRequest(r, "eater", by, "x=a; while :; do x=$x$x; done")
	eater.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
	r.start(eater)
	if got := r.exited("eater"); !got.OOMKilled || got.Reason != shim.ReasonOOMKilled {
		t.Errorf("above its limit: %+v, want OOMKilled", got)
	}
	tty := foreignRequest(r, "tty", by, "test -t 1 && echo on terminal")
	tty.Spec.Process.Terminal = true
	r.start(tty)
	r.exited("tty")
	if lines := r.lines("tty"); len(lines) != 1 || lines[0].text != "on terminal\r" && lines[0].text != "on terminal" {
		t.Errorf("terminal: logged %q", lines)
	}
	// The shim becomes another program: what another one runs is its child as before.
	r.start(foreignRequest(r, "goes-on", by, "trap 'exit 6' TERM; while :; do sleep 0.05; done"))
	r.upgrade(shared.next)
	if out, result := r.exec("goes-on", "echo again; exit 4"); out != "again\n" || result.ExitCode != 4 {
		t.Errorf("exec after an upgrade: %q and %d", out, result.ExitCode)
	}
	if _, err := r.client.StopWith(r.ctx, "goes-on", 20e9, ""); err != nil {
		t.Fatal(err)
	}
	if got := r.exited("goes-on"); got.ExitCode != 6 {
		t.Errorf("stopped after an upgrade: exit code %d, want 6", got.ExitCode)
	}
	// Destroy while it runs; the rig checks that nothing is left.
	r.start(foreignRequest(r, "left", by, "sleep 600"))
}

// Containers of another program share the pod's processes like any.
func TestForeign_SharedProcesses(t *testing.T) {
	by := otherRuntime(t)
	r := newRig(t)
	box := r.sandbox()
	box.SharePIDs, box.PauseRoot = true, t.TempDir()
	if _, err := r.client.Sandbox(r.ctx, box); err != nil {
		t.Fatal(err)
	}
	r.start(foreignRequest(r, "first", by, "sleep 600"))
	r.start(r.request("second", "sleep 601"))
	for _, id := range []string{"first", "second"} {
		if out, _ := r.exec(id, "ps -o args"); !strings.Contains(out, "sleep 600") || !strings.Contains(out, "sleep 601") {
			t.Errorf("%s sees %q, want both", id, out)
		}
	}
	if _, err := r.client.StopWith(r.ctx, "first", 0, ""); err != nil {
		t.Fatal(err)
	}
	if got := r.exited("first"); got.Signal != 9 {
		t.Errorf("killed: %+v", got)
	}
	if got := r.state("second"); got.Status != shim.StatusRunning {
		t.Errorf("the other one is %s", got.Status)
	}
}

// TestForeign_ProgramThatHangs: the kill at the end of the grace does not wait for the program.
func TestForeign_ProgramThatHangs(t *testing.T) {
	by := otherRuntime(t)
	r := pod(t)
	gate, program := filepath.Join(t.TempDir(), "gate"), filepath.Join(t.TempDir(), by.Name)
	script := "#!/bin/sh\ncase \"$*\" in *' kill '*) exec cat " + gate + ";; esac\nexec " + by.Path + " \"$@\"\n"
	if err := errors.Join(unix.Mkfifo(gate, 0o600), os.WriteFile(program, []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	r.start(foreignRequest(r, "runs", &shim.Runtime{Name: by.Name, Path: program}, "sleep 600"))
	stopped := make(chan error, 1)
	go func() { _, err := r.client.StopWith(r.ctx, "runs", 1e8, ""); stopped <- err }()
	if got := r.exited("runs"); got.ExitCode != 137 || got.Signal != 9 {
		t.Errorf("stopped: %+v", got)
	}
	select {
	case err := <-stopped:
		t.Errorf("the program did not hang: %v", err)
	default: // it hangs still, and the container has ended all the same
	}
	open, err := os.OpenFile(gate, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(gate) // the next call fails
	open.Close()        // whoever opened it meanwhile is at its end
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestForeign_TakeoverWaitsForNoProgram: nobody but the container itself waits for the program to tell whether it
// was let go.
func TestForeign_TakeoverWaitsForNoProgram(t *testing.T) {
	by := otherRuntime(t)
	r := pod(t)
	gate, program := filepath.Join(t.TempDir(), "gate"), filepath.Join(t.TempDir(), by.Name)
	script := "#!/bin/sh\ncase \"$*\" in *' state '*) exec cat " + gate + ";; esac\nexec " + by.Path + " \"$@\"\n"
	if err := errors.Join(unix.Mkfifo(gate, 0o600), os.WriteFile(program, []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	r.start(foreignRequest(r, "runs", &shim.Runtime{Name: by.Name, Path: program}, "trap 'exit 5' TERM; while :; do sleep 0.05; done"))
	r.killShim()
	r.launch()
	if out, _ := r.exec("runs", "echo here"); out != "here\n" {
		t.Errorf("exec printed %q", out)
	}
	if _, err := r.client.Upgrade(r.ctx, shared.next); !errors.Is(err, shim.ErrConflict) {
		t.Errorf("upgrade while the program hangs: %v", err)
	}
	open, err := os.OpenFile(gate, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(gate)
	open.Close()
	wait(t, "an upgrade", func() bool { _, err := r.client.Upgrade(r.ctx, shared.next); return err == nil })
	if c, err := r.client.Stop(r.ctx, "runs", 20*time.Second); err != nil || c.ExitCode != 5 {
		t.Errorf("stop: %+v, %v", c, err)
	}
}
