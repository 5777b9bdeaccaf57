//go:build kernel

package supervisor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"writ/runtime/shim"
	"writ/runtime/shim/crilog"
)

func TestLogs_LineOfTenMiB(t *testing.T) {
	r := pod(t)
	const size = 10 << 20
	request := r.request("c", fmt.Sprintf(`head -c %d /dev/zero | tr '\0' x; echo; echo after`, size))
	request.Log.MaxSize = 100 << 20
	r.start(request)
	if got := r.exited("c"); got.ExitCode != 0 {
		t.Fatalf("exit code %d", got.ExitCode)
	}
	lines := r.lines("c")
	got := 0
	for _, l := range lines[:len(lines)-1] {
		if len(l.text) > crilog.MaxLine {
			t.Fatalf("a fragment of %d bytes", len(l.text))
		}
		got += len(l.text)
	}
	if got != size || lines[len(lines)-1].text != "after" || lines[len(lines)-2].tag != "F" || lines[0].tag != "P" {
		t.Errorf("got %d bytes in %d lines, the last ones %s %.20q and %.20q", got, len(lines), lines[len(lines)-2].tag, lines[len(lines)-2].text, lines[len(lines)-1].text)
	}
	if peak := peakMemory(t, r); peak > 32<<20 {
		t.Errorf("the shim took %d MiB", peak>>20)
	}
}

func peakMemory(t *testing.T, r *rig) int {
	t.Helper()
	hello, err := r.client.Hello(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", hello.PID))
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(data)) {
		var kib int
		if _, err := fmt.Sscanf(text, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

func TestLogs_Rotation(t *testing.T) {
	r := pod(t)
	request := r.request("c", `seq 1 20000`)
	request.Log.MaxSize, request.Log.MaxFiles = 100_000, 4
	r.start(request)
	r.exited("c")
	files := append(crilog.Rotated(request.Log.Path), request.Log.Path)
	if len(files) != 4 {
		t.Fatalf("files %q, want 4", files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 100_000 || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v %v, want at most 100000 bytes and mode 0640", f, info.Size(), info.Mode())
		}
	}
	lines := r.lines("c")
	for i, l := range lines {
		if want := fmt.Sprint(20001 - len(lines) + i); l.text != want {
			t.Fatalf("line %d is %q, want %s", i, l.text, want)
		}
	}
	if len(lines) < 4000 {
		t.Errorf("only %d lines are kept", len(lines))
	}
}

func TestLogs_FullDiskStopsNobody(t *testing.T) {
	r := pod(t)
	request := r.request("c", `seq 1 1000; exit 6`)
	if err := os.MkdirAll(r.logs, 0o755); err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(r.logs, "blocked") // a file where a folder must be stands for a disk that takes nothing
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	request.Log.Path = filepath.Join(blocked, "0.log")
	r.start(request)
	if got := r.exited("c"); got.ExitCode != 6 || got.LogDropped != 3893 {
		t.Errorf("code %d, %d bytes dropped, want 6 and 3893", got.ExitCode, got.LogDropped)
	}
}

func TestLogs_Reopen(t *testing.T) {
	r := pod(t)
	r.start(r.request("c", `trap 'echo $((++n))' USR1; trap 'exit 0' TERM; n=0; echo up; while true; do sleep 0.01; done`))
	path := filepath.Join(r.logs, "c", "0.log")
	wait(t, "the trap", func() bool { return len(r.lines("c")) == 1 })
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := r.client.ReopenLogs(r.ctx, ""); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Signal(r.ctx, "c", "USR1"); err != nil {
		t.Fatal(err)
	}
	wait(t, "a line in the new file", func() bool { return len(r.lines("c")) == 1 })
	if got := r.lines("c")[0].text; got != "1" {
		t.Errorf("new file holds %q", got)
	}
	if _, err := r.client.Stop(r.ctx, "c", shimGrace); err != nil {
		t.Error(err)
	}
}

func TestLogs_NoPathDropsQuietly(t *testing.T) {
	r := pod(t)
	request := r.request("c", `seq 1 100000`)
	request.Log = shim.LogConfig{}
	r.start(request)
	if got := r.exited("c"); got.ExitCode != 0 || got.LogDropped != 0 {
		t.Errorf("code %d, dropped %d", got.ExitCode, got.LogDropped)
	}
}
