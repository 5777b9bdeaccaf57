//go:build kernel

package supervisor_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"writ/runtime/shim"
)

func TestStart_ExitCodesAndLogs(t *testing.T) {
	r := pod(t)
	tests := []struct {
		script         string
		code, signal   int
		reason         string
		stdout, stderr string
	}{
		{"echo one; echo two >&2; exit 0", 0, 0, shim.ReasonCompleted, "one", "two"},
		{"echo no newline | tr -d '\\n'; exit 42", 42, 0, shim.ReasonError, "no newline", ""},
		{"kill -9 $$; sleep 1", 0, 0, shim.ReasonCompleted, "", ""}, // the kernel protects pid 1 of a namespace
		{"exit 255", 255, 0, shim.ReasonError, "", ""},
	}
	for i, tt := range tests {
		id := fmt.Sprintf("c%d", i)
		got := r.run(id, tt.script)
		if got.Status != shim.StatusExited || got.ExitCode != tt.code || got.Signal != tt.signal || got.Reason != tt.reason {
			t.Errorf("%q: got %s, code %d, signal %d, %s, want exited, %d, %d, %s",
				tt.script, got.Status, got.ExitCode, got.Signal, got.Reason, tt.code, tt.signal, tt.reason)
		}
		if got.StartedAt.IsZero() || got.FinishedAt.Before(got.StartedAt) || got.CreatedAt.After(got.StartedAt) {
			t.Errorf("%q: created %v, started %v, finished %v", tt.script, got.CreatedAt, got.StartedAt, got.FinishedAt)
		}
		var want []line
		if tt.stdout != "" {
			want = append(want, line{"stdout", "F", tt.stdout})
		}
		if tt.stderr != "" {
			want = append(want, line{"stderr", "F", tt.stderr})
		}
		if lines := r.lines(id); !sameLines(lines, want) {
			t.Errorf("%q: logged %v, want %v", tt.script, lines, want)
		}
	}
}

// sameLines ignores how two streams were interleaved.
func sameLines(got, want []line) bool {
	count := map[line]int{}
	for _, l := range got {
		count[l]++
	}
	for _, l := range want {
		count[l]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestStart_KilledBySignal(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", "sleep", "60"))
	if err := r.client.Signal(r.ctx, "c", "KILL"); err != nil {
		t.Fatal(err)
	}
	if got := r.exited("c"); got.ExitCode != 137 || got.Signal != 9 || got.Reason != shim.ReasonError || got.OOMKilled {
		t.Errorf("got code %d, signal %d, %s, want 137, 9, Error", got.ExitCode, got.Signal, got.Reason)
	}
}

func TestStart_CommandThatIsNotThere(t *testing.T) {
	r := pod(t)
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"nosuch", "-x"}, `exec: "nosuch": executable file not found in $PATH`},
		{[]string{"/nosuch", "-x"}, `exec: "/nosuch": stat /nosuch: no such file or directory`},
		{[]string{"/etc/passwd", "-x"}, `exec: "/etc/passwd": permission denied`},
	}
	for i, tt := range tests {
		id := fmt.Sprintf("c%d", i)
		got, err := r.client.Start(r.ctx, r.request(id, tt.args...))
		if !errors.Is(err, shim.ErrStart) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("start %q: got error %v, want %s", tt.args, err, tt.want)
		}
		if got.Reason != shim.ReasonStartError || got.ExitCode != 128 || got.Status != shim.StatusExited {
			t.Errorf("start %q: got %s, %s, %d, want exited, StartError, 128", tt.args, got.Status, got.Reason, got.ExitCode)
		}
		if state := r.exited(id); state.Message != err.Error() {
			t.Errorf("start %q: recorded %q, told %q", tt.args, state.Message, err)
		}
		if err := r.client.Remove(r.ctx, id); err != nil {
			t.Errorf("remove %s: %v", id, err)
		}
	}
}

func TestStart_Refusals(t *testing.T) {
	r := newRig(t)
	if _, err := r.client.Start(r.ctx, r.request("c", "true")); !errors.Is(err, shim.ErrConflict) {
		t.Errorf("start before the sandbox: got %v, want a conflict", err)
	}
	if _, err := r.client.Sandbox(r.ctx, r.sandbox()); err != nil {
		t.Fatal(err)
	}
	bad := r.request("../../etc", "true")
	if _, err := r.client.Start(r.ctx, bad); !errors.Is(err, shim.ErrInvalid) {
		t.Errorf("start with ID %q: got %v, want it refused", bad.ID, err)
	}
	r.start(r.request("c", "sleep 60"))
	if _, err := r.client.Start(r.ctx, r.request("c", "true")); !errors.Is(err, shim.ErrExists) {
		t.Errorf("start a second one of the name: got %v, want it refused", err)
	}
	if err := r.client.Remove(r.ctx, "c"); !errors.Is(err, shim.ErrConflict) {
		t.Errorf("remove a running container: got %v, want a conflict", err)
	}
	if err := r.client.Shutdown(r.ctx); !errors.Is(err, shim.ErrConflict) {
		t.Errorf("shut down a running pod: got %v, want a conflict", err)
	}
	other := r.sandbox()
	other.Hostname = "other"
	if _, err := r.client.Sandbox(r.ctx, other); !errors.Is(err, shim.ErrConflict) {
		t.Errorf("another sandbox: got %v, want a conflict", err)
	}
	if err := r.client.Signal(r.ctx, "nobody", "TERM"); !errors.Is(err, shim.ErrNotFound) {
		t.Errorf("signal nobody: got %v, want not found", err)
	}
}

func TestStart_Isolation(t *testing.T) {
	r := pod(t)
	ns := func(kind string) string {
		got, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := r.run("a", `hostname; echo $$; for n in ipc uts net pid; do readlink /proc/self/ns/$n; done; touch /x 2>/dev/null || echo readonly; mount -t tmpfs x /tmp 2>/dev/null || echo nomount; id -u; cat /proc/self/status | while read k v; do case $k in NoNewPrivs:|Seccomp:|CapEff:|SigIgn:|SigBlk:) echo $k$v;; esac; done`)
	if got.ExitCode != 0 {
		t.Fatalf("exit code %d: %v", got.ExitCode, r.lines("a"))
	}
	a := texts(r.lines("a"))
	want := []string{"pod-of-test", "1"}
	if len(a) != 14 || !reflect.DeepEqual(a[:2], want) {
		t.Fatalf("container saw %q, want it to begin with %q", a, want)
	}
	if a[2] == ns("ipc") || a[3] == ns("uts") || a[5] == ns("pid") {
		t.Errorf("container is in namespaces of the node: %q", a[2:6])
	}
	if a[4] != ns("net") { // this sandbox names no network namespace
		t.Errorf("container is in network namespace %s, want %s", a[4], ns("net"))
	}
	if rest := a[6:]; !reflect.DeepEqual(rest, []string{"readonly", "nomount", "0", "SigBlk:0000000000000000", "SigIgn:0000000000000000", "CapEff:00000000000000e1", "NoNewPrivs:1", "Seccomp:2"}) {
		t.Errorf("container saw %q", rest)
	}
	r.run("b", `for n in ipc uts; do readlink /proc/self/ns/$n; done`)
	if b := texts(r.lines("b")); b[0] != a[2] || b[1] != a[3] {
		t.Errorf("two containers of a pod have ipc, uts %q and %q, want the same", a[2:4], b)
	}
}

func texts(lines []line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, l.text)
	}
	return out
}

func TestStop(t *testing.T) {
	r := pod(t)
	r.start(r.request("polite", `trap 'echo bye; exit 3' TERM; echo up; while true; do sleep 0.01; done`))
	wait(t, "the trap to be set", func() bool { return len(r.lines("polite")) == 1 })
	got, err := r.client.Stop(r.ctx, "polite", 10*time.Second)
	if err != nil || got.ExitCode != 3 {
		t.Errorf("stop of a polite container: code %d, %v, want 3", got.ExitCode, err)
	}
	if lines := texts(r.lines("polite")); !reflect.DeepEqual(lines, []string{"up", "bye"}) {
		t.Errorf("it logged %q", lines)
	}

	r.start(r.request("stubborn", `trap '' TERM; echo up; (trap '' TERM; while true; do sleep 1; done) & while true; do sleep 1; done`))
	wait(t, "the trap to be set", func() bool { return len(r.lines("stubborn")) == 1 })
	began := time.Now()
	got, err = r.client.Stop(r.ctx, "stubborn", 300*time.Millisecond)
	if err != nil || got.ExitCode != 137 || got.Signal != 9 || got.OOMKilled {
		t.Errorf("stop of one that ignores SIGTERM: %+v, %v, want 137", got, err)
	}
	if took := time.Since(began); took < 300*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v, want its grace of 300 ms", took)
	}

	hup := r.request("hup", `trap 'exit 9' USR1; echo up; while true; do sleep 0.01; done`)
	hup.StopSignal = "SIGUSR1"
	r.start(hup)
	wait(t, "the trap to be set", func() bool { return len(r.lines("hup")) == 1 })
	if got, err = r.client.Stop(r.ctx, "hup", 10*time.Second); err != nil || got.ExitCode != 9 {
		t.Errorf("stop with the image's signal: code %d, %v, want 9", got.ExitCode, err)
	}
	if again, err := r.client.Stop(r.ctx, "hup", 0); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("second stop: %+v, %v, want the same as the first", again, err)
	}
}

const ignoresTerm = `trap '' TERM; echo up; while true; do sleep 1; done`

func TestStop_CanOnlyBeBroughtForward(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", ignoresTerm))
	wait(t, "the trap to be set", func() bool { return len(r.lines("c")) == 1 })
	done := make(chan error, 1)
	go func() {
		_, err := r.client.Stop(r.ctx, "c", time.Hour)
		done <- err
	}()
	wait(t, "the first stop", func() bool { return !r.state("c").StopDeadline.IsZero() })
	if _, err := r.client.Stop(r.ctx, "c", 50*time.Millisecond); err != nil {
		t.Errorf("second stop: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("first stop: %v", err)
	}
}

func TestMemory_OOMKilled(t *testing.T) {
	r := pod(t)
	request := r.request("c", `x=$(yes | head -c 200000000); echo never`)
	limit := int64(16 << 20)
	request.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
	r.start(request)
	got := r.exited("c")
	if !got.OOMKilled || got.ExitCode != 137 || got.Reason != shim.ReasonOOMKilled {
		t.Errorf("got %s, code %d, oom %v, want OOMKilled, 137", got.Reason, got.ExitCode, got.OOMKilled)
	}
	var kinds []shim.EventKind
	_ = r.client.Events(r.ctx, 0, func(e shim.Event) error {
		kinds = append(kinds, e.Kind)
		if e.Kind == shim.EventSync {
			return errStop
		}
		return nil
	})
	want := []shim.EventKind{shim.EventStarted, shim.EventOOM, shim.EventExited, shim.EventSync}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

func TestMemory_KilledChildIsNoOOMKill(t *testing.T) {
	r := pod(t)
	request := r.request("c", `sh -c 'x=$(yes | head -c 200000000)'; echo child: $?; exit 5`)
	limit := int64(16 << 20)
	request.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
	r.start(request)
	if got := r.exited("c"); got.OOMKilled || got.ExitCode != 5 || got.Reason != shim.ReasonError {
		t.Errorf("got %s, code %d, oom %v, want Error, 5, no OOM", got.Reason, got.ExitCode, got.OOMKilled)
	}
	if lines := texts(r.lines("c")); !slices.Contains(lines, "child: 137") { // the shell may say "Killed" on stderr before or after
		t.Errorf("logged %q", lines)
	}
}

func TestForkBomb(t *testing.T) {
	r := pod(t)
	// Who cannot fork ends, so the first process forks once only; the others stay, also at the limit.
	request := r.request("c", `bomb() { bomb | bomb & sleep 600; }; bomb & while true; do wait; done`)
	pids := int64(40)
	request.Spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	r.start(request)
	wait(t, "the limit to be reached", func() bool {
		stats, err := r.client.Stats(r.ctx)
		return err == nil && len(stats.Containers) == 1 && stats.Containers[0].PIDs > 20
	})
	if stats, _ := r.client.Stats(r.ctx); stats.Containers[0].PIDs > 40 || stats.Containers[0].PIDsLimit != 40 {
		t.Errorf("%d processes of %d, want at most 40 of 40", stats.Containers[0].PIDs, stats.Containers[0].PIDsLimit)
	}
	if got := r.run("other", "echo fine"); got.ExitCode != 0 {
		t.Errorf("a second container beside the bomb ended with %d", got.ExitCode)
	}
	if got, err := r.client.Stop(r.ctx, "c", 0); err != nil || got.ExitCode != 137 {
		t.Errorf("stop of the bomb: code %d, %v", got.ExitCode, err)
	}
}

func TestShutdown_LeavesNothing(t *testing.T) {
	r := pod(t)
	r.run("c", "echo done")
	if err := r.client.PutRecord(r.ctx, []byte("the pod")); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Shutdown(r.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.State(r.ctx); !errors.Is(err, shim.ErrNoShim) {
		t.Errorf("state after shutdown: %v, want no shim", err)
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + r.name)
	if len(groups) > 0 {
		t.Errorf("left behind %q", groups)
	}
	r.launch() // what it knew is still there
	if got := r.state("c"); got.ExitCode != 0 || got.Status != shim.StatusExited {
		t.Errorf("after a new start: %+v", got)
	}
	if record, err := r.client.GetRecord(r.ctx); err != nil || string(record) != "the pod" {
		t.Errorf("record %q, %v", record, err)
	}
}

func TestUpdate(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", "sleep 60"))
	limit := int64(64 << 20)
	err := r.client.Update(r.ctx, shim.UpdateRequest{ID: "c", Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}})
	if err != nil {
		t.Fatal(err)
	}
	stats, err := r.client.Stats(r.ctx)
	if err != nil || len(stats.Containers) != 1 || stats.Pod == nil {
		t.Fatalf("stats: %+v, %v", stats, err)
	}
	c := stats.Containers[0]
	if c.MemoryLimit != uint64(limit) || c.MemoryUsage == 0 || c.CPUNanos == 0 || c.PIDs == 0 || c.MemoryWorkingSet > c.MemoryUsage {
		t.Errorf("stats of the container: %+v", c)
	}
	if stats.Pod.PIDsLimit != 200 || stats.Pod.PIDs < c.PIDs || stats.Pod.MemoryUsage < c.MemoryUsage {
		t.Errorf("stats of the pod: %+v", stats.Pod)
	}
}
