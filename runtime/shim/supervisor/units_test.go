package supervisor

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

func TestParseStat(t *testing.T) {
	tail := " Z 1 2 3 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 4242 0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 10752\n"
	tests := []struct {
		text string
		want procStat
		ok   bool
	}{
		{"12 (sh)" + tail, procStat{'Z', 4194304, 4242, 10752}, true},
		{"12 (a) b) (c)" + tail, procStat{'Z', 4194304, 4242, 10752}, true},
		{"12 (sh) Z 1 2", procStat{}, false},
		{"", procStat{}, false},
	}
	for _, tt := range tests {
		got, err := parseStat([]byte(tt.text))
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseStat(%.20q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
	own, err := identify(os.Getpid(), "boot")
	if err != nil || !own.alive("boot") || own.alive("other boot") {
		t.Errorf("this process: %+v, %v, want it alive in its boot only", own, err)
	}
	own.start++
	if own.alive("boot") {
		t.Error("a process of another start time counts as the same")
	}
}

func TestParseSignal(t *testing.T) {
	tests := []struct {
		name string
		want syscall.Signal
	}{
		{"", unix.SIGTERM}, {"SIGTERM", unix.SIGTERM}, {"quit", unix.SIGQUIT}, {"9", unix.SIGKILL},
		{"SIGRTMIN+3", 37}, {"RTMAX-1", 63}, {"RTMIN", 34},
		{"0", 0}, {"65", 0}, {"SIGNOTHING", 0}, {"RTMIN+99", 0}, {"RTMIN3x", 0},
	}
	for _, tt := range tests {
		got, err := parseSignal(tt.name)
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("parseSignal(%q) = %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
}

func TestConclude(t *testing.T) {
	exit := func(code int) unix.WaitStatus { return unix.WaitStatus(code << 8) }
	tests := []struct {
		name         string
		status       unix.WaitStatus
		known, oom   bool
		code, signal int
		reason       string
	}{
		{"fine", exit(0), true, false, 0, 0, shim.ReasonCompleted},
		{"fine beside a killed child", exit(0), true, true, 0, 0, shim.ReasonCompleted},
		{"failed", exit(3), true, true, 3, 0, shim.ReasonError},
		{"killed", unix.WaitStatus(9), true, false, 137, 9, shim.ReasonError},
		{"out of memory", unix.WaitStatus(9), true, true, 137, 9, shim.ReasonOOMKilled},
		{"child of its shell out of memory", exit(137), true, true, 137, 0, shim.ReasonOOMKilled},
		{"dumped core", unix.WaitStatus(11 | 0x80), true, false, 139, 11, shim.ReasonError},
		{"unknown", 0, false, true, 137, 0, shim.ReasonUnknown},
	}
	for _, tt := range tests {
		s := shim.Container{Status: shim.StatusRunning, PID: 1, StopDeadline: time.Now()}
		conclude(&s, tt.status, tt.known, tt.oom)
		if s.ExitCode != tt.code || s.Signal != tt.signal || s.Reason != tt.reason || s.OOMKilled != (tt.reason == shim.ReasonOOMKilled) {
			t.Errorf("%s: got %d, %d, %s, %v, want %d, %d, %s", tt.name, s.ExitCode, s.Signal, s.Reason, s.OOMKilled, tt.code, tt.signal, tt.reason)
		}
		if s.Status != shim.StatusExited || s.PID != 0 || !s.StopDeadline.IsZero() {
			t.Errorf("%s: still %+v", tt.name, s)
		}
	}
}

func TestHost_Limit(t *testing.T) {
	score := func(n int) *int { return &n }
	weak, strong := host{oomScore: 0, defaultScore: 0}, host{oomScore: -998, defaultScore: 100, resources: true}
	tests := []struct {
		name     string
		host     host
		want     *int
		got      int
		warnings int
	}{
		{"none asked for", weak, nil, 0, 0},
		{"raising is free", weak, score(1000), 1000, 0},
		{"lowering is not", weak, score(-997), 0, 1},
		{"with the capability it is", strong, score(-999), -999, 0},
		{"the shim's own protection is not inherited", strong, nil, 100, 0},
	}
	for _, tt := range tests {
		p := &specs.Process{OOMScoreAdj: tt.want}
		if warnings := tt.host.limit(p); *p.OOMScoreAdj != tt.got || len(warnings) != tt.warnings {
			t.Errorf("%s: oom_score_adj %d, warnings %q, want %d", tt.name, *p.OOMScoreAdj, warnings, tt.got)
		}
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	p := &specs.Process{Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: math.MaxUint64, Soft: 10}}}
	if warnings := weak.limit(p); own.Max != math.MaxUint64 && (len(warnings) != 1 || p.Rlimits[0].Hard != own.Max || p.Rlimits[0].Soft != 10) {
		t.Errorf("limit above the hard one: %+v, %q, want it cut to %d", p.Rlimits, warnings, own.Max)
	}
}

func TestPod_CompleteFillsInTheSandbox(t *testing.T) {
	p := &pod{paths: paths{"/run/pod"}}
	spec := func() *specs.Spec {
		return &specs.Spec{Hostname: "x", Process: &specs.Process{}, Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace, Path: "/own"},
		}}}
	}
	s := spec()
	box := shim.SandboxState{Sandbox: shim.Sandbox{CgroupPath: "/pod1", NetNSPath: "/netns"}, IPCPath: "/ipc", UTSPath: "/uts"}
	if _, err := p.complete("c", s, box); err != nil {
		t.Fatal(err)
	}
	want := []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace, Path: "/netns"}, {Type: specs.IPCNamespace, Path: "/ipc"}, {Type: specs.UTSNamespace, Path: "/own"},
	}
	if !reflect.DeepEqual(s.Linux.Namespaces, want) || s.Linux.CgroupsPath != "/pod1/c" || s.Hostname != "" {
		t.Errorf("got %+v, cgroup %s, host name %q", s.Linux.Namespaces, s.Linux.CgroupsPath, s.Hostname)
	}
	s = spec()
	if _, err := p.complete("c", s, shim.SandboxState{Sandbox: shim.Sandbox{CgroupPath: "/pod1"}}); err != nil || len(s.Linux.Namespaces) != 2 {
		t.Errorf("a pod on the node's namespaces: %+v, %v, want network and ipc left out", s.Linux.Namespaces, err)
	}
	if _, err := p.complete("c", spec(), shim.SandboxState{}); err == nil {
		t.Error("a container without any cgroup was not refused")
	}
}

func TestWriteFile_IsWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	for _, d := range []durability{survivesKill, survivesCrash} {
		for _, data := range [][]byte{[]byte("first"), bytes.Repeat([]byte("x"), 1<<20), nil} {
			if err := writeFile(path, data, d); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %d bytes, %v, want %d", len(got), err, len(data))
			}
		}
	}
	if err := os.Mkdir(path+".new", 0o700); err != nil { // what the next one would be written to
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+".new", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, []byte("second"), survivesKill); err == nil {
		t.Error("a write that failed gave no error")
	}
	if got, err := os.ReadFile(path); err != nil || len(got) != 0 {
		t.Errorf("after a write that failed: %q, %v, want what was there", got, err)
	}
}

func TestPod_EventsAreOrderedAndResumable(t *testing.T) {
	p := newPod(t.TempDir(), slog.New(slog.DiscardHandler), shim.Hello{Incarnation: 3}, "boot")
	for _, id := range []string{"a", "b"} {
		if err := os.MkdirAll(p.container(id), 0o700); err != nil {
			t.Fatal(err)
		}
		p.containers[id] = newContainer(p, shim.Container{ID: id, Status: shim.StatusCreating})
	}
	run := func(s *shim.Container) { s.Status = shim.StatusRunning }
	p.change(p.containers["b"], survivesKill, run)
	p.change(p.containers["a"], survivesKill, run)
	p.change(p.containers["b"], survivesCrash, func(s *shim.Container) { s.Status, s.OOMKilled = shim.StatusExited, true })
	const base = 3 << seqBits
	told := func(after uint64) (out []string) {
		events, newest, _ := p.eventsAfter(after)
		if newest != base+4 {
			t.Errorf("newest event is %d, want %d", newest, uint64(base+4))
		}
		for _, e := range events {
			out = append(out, string(e.Kind)+" "+e.Container.ID)
		}
		return out
	}
	if got, want := told(0), []string{"started b", "started a", "oom b", "exited b"}; !slices.Equal(got, want) {
		t.Errorf("all events: %q, want %q", got, want)
	}
	if got, want := told(base+2), []string{"oom b", "exited b"}; !slices.Equal(got, want) {
		t.Errorf("events after the second: %q, want %q", got, want)
	}
	var onDisk shim.Container
	if _, err := readJSON(p.state("b"), &onDisk); err != nil || !reflect.DeepEqual(onDisk, p.containers["b"].state) {
		t.Errorf("on disk: %+v, %v, want what is told", onDisk, err)
	}
}

func TestUnescape(t *testing.T) {
	tests := []struct{ in, want string }{
		{"/run/pod", "/run/pod"}, {`/a\040b`, "/a b"}, {`/a\134b\011`, "/a\\b\t"}, {`/a\0`, `/a\0`},
	}
	for _, tt := range tests {
		if got := unescape(tt.in); got != tt.want {
			t.Errorf("unescape(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestCheck_Refuses(t *testing.T) {
	good := func() shim.StartRequest {
		return shim.StartRequest{ID: "c", Spec: &specs.Spec{
			Process: &specs.Process{Args: []string{"x"}}, Root: &specs.Root{Path: "/r"}, Linux: &specs.Linux{},
		}}
	}
	if err := check(good()); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*shim.StartRequest){
		"no ID":              func(r *shim.StartRequest) { r.ID = "" },
		"ID with a slash":    func(r *shim.StartRequest) { r.ID = "a/b" },
		"ID of two dots":     func(r *shim.StartRequest) { r.ID = ".." },
		"long ID":            func(r *shim.StartRequest) { r.ID = strings.Repeat("a", 129) },
		"no spec":            func(r *shim.StartRequest) { r.Spec = nil },
		"no command":         func(r *shim.StartRequest) { r.Spec.Process.Args = nil },
		"relative root":      func(r *shim.StartRequest) { r.Spec.Root.Path = "r" },
		"relative log":       func(r *shim.StartRequest) { r.Log.Path = "l" },
		"unknown stopsignal": func(r *shim.StartRequest) { r.StopSignal = "HELLO" },
	}
	for name, spoil := range tests {
		r := good()
		spoil(&r)
		if err := check(r); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

// TestCheckSandbox_Sysctls: a name leads to one file below /proc/sys, in one way.
func TestCheckSandbox_Sysctls(t *testing.T) {
	for name, fine := range map[string]bool{
		"net.ipv4.ip_forward": true, "net.ipv4.conf.eth0/100.rp_filter": true, "kernel": true,
		"a.//.b": false, "a./.b": false, "//.kernel.core_pattern": false, ".kernel.core_pattern": false, "a..b": false, "a.": false, "": false, "/": false, "net.//.kernel.shmmax": false,
	} {
		err := checkSandbox(shim.Sandbox{Sysctls: map[string]string{name: "1"}})
		if fine && err != nil || !fine && !errors.Is(err, shim.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
