//go:build kernel

package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"writ/fixtures/kernel"
	"writ/runtime/shim"
	"writ/runtime/shim/crilog"
	_ "writ/runtime/shim/supervisor"
)

// shared is made once: the real binary, the same of another version, a root file
// system of busybox, and where shims keep compiled seccomp profiles.
var shared struct{ binary, next, root, cache string }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "shim-tests-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		shared.binary, shared.root = filepath.Join(dir, "writ-shim"), filepath.Join(dir, "root")
		shared.cache = filepath.Join(dir, "cache")
		shared.next = filepath.Join(dir, "next", "writ-shim")
		if err := errors.Join(build(shared.binary, "one"), build(shared.next, "two")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := makeRoot(shared.root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build makes the program the way a release does. Its sources are looked at and
// its package is imported so that go test does not answer from its cache when
// they have changed.
func build(to, version string) error {
	sources, err := filepath.Glob("../../../cmd/writ-shim/*.go")
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("find the sources of writ-shim: %d files, %w", len(sources), err)
	}
	for _, source := range sources {
		if _, err := os.ReadFile(source); err != nil {
			return err
		}
	}
	cmd := exec.Command("go", "build", "-tags", "seccomp netgo osusergo",
		"-ldflags", "-s -w -linkmode external -extldflags -static -X main.version="+version, "-o", to, "writ/cmd/writ-shim")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build writ-shim: %w\n%s", err, out)
	}
	return nil
}

func makeRoot(root string) error {
	for _, d := range []string{"bin", "proc", "sys", "dev", "tmp", "etc", "work"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("busybox-static is needed: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), busybox, 0o755); err != nil {
		return err
	}
	for _, applet := range strings.Fields("sh echo cat sleep true false id hostname stty head yes seq env pwd ps kill test dd tr touch readlink wc ls mount") {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\n"), 0o644)
}

var rigs atomic.Int64

// rig is one pod with a shim of its own.
type rig struct {
	t      testing.TB
	ctx    context.Context
	name   string // unique; the cgroup and the directory are named after it
	dir    string
	logs   string
	cache  string
	client *shim.Client
}

func newRig(t testing.TB) *rig {
	t.Helper()
	kernel.Require(t)
	name := fmt.Sprintf("shimtest%d-%d", os.Getpid(), rigs.Add(1))
	kernel.CheckClean(t, name)
	base, err := os.MkdirTemp("", name+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	r := &rig{t: t, ctx: ctx, name: name, dir: filepath.Join(base, "run"), logs: filepath.Join(base, "logs"), cache: shared.cache}
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := os.ReadFile(shim.LogPath(r.dir))
			t.Logf("the shim said:\n%s", said)
		}
		if err := shim.Destroy(context.Background(), shared.binary, r.dir); err != nil {
			t.Errorf("destroy: %v", err)
		}
	})
	r.launch()
	return r
}

// pod is newRig with a sandbox.
func pod(t testing.TB) *rig {
	t.Helper()
	r := newRig(t)
	if _, err := r.client.Sandbox(r.ctx, r.sandbox()); err != nil {
		t.Fatalf("sandbox: %v", err)
	}
	return r
}

func (r *rig) sandbox() shim.Sandbox {
	pids := int64(200)
	return shim.Sandbox{
		CgroupPath: "/" + r.name,
		Hostname:   "pod-of-test",
		Resources:  &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &pids}},
	}
}

func (r *rig) launch() {
	r.t.Helper()
	client, err := shim.Launch(r.ctx, shim.LaunchConfig{Binary: shared.binary, Dir: r.dir, Cache: r.cache})
	if err != nil {
		r.t.Fatalf("launch: %v", err)
	}
	r.client = client
}

// killShim ends the shim the hard way and waits until it is gone.
func (r *rig) killShim() {
	r.t.Helper()
	hello, err := r.client.Hello(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	killHard(r.t, hello.PID)
}

func killHard(t testing.TB, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the process to be gone", func() bool {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(data, []byte(") Z "))
	})
}

func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// request is a container that runs a shell command, or args if there are more.
func (r *rig) request(id string, args ...string) shim.StartRequest {
	if len(args) == 1 {
		args = []string{"/bin/sh", "-c", args[0]}
	}
	return shim.StartRequest{
		ID: id, Name: "main", Spec: spec(args),
		Log: shim.LogConfig{Path: filepath.Join(r.logs, id, "0.log")},
	}
}

func spec(args []string) *specs.Spec {
	caps := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"}
	return &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: shared.root, Readonly: true},
		Process: &specs.Process{
			Args: args, Cwd: "/", Env: []string{"PATH=/bin", "HOME=/tmp"}, NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "nodev", "size=64m"}},
			{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "size=64m"}},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.NetworkNamespace},
			},
			Resources:     &specs.LinuxResources{},
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys"},
			ReadonlyPaths: []string{"/proc/sys"},
			Seccomp: &specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow,
				Syscalls:      []specs.LinuxSyscall{{Names: []string{"unshare", "mount"}, Action: specs.ActErrno}},
			},
		},
	}
}

func (r *rig) start(request shim.StartRequest) shim.Container {
	r.t.Helper()
	state, err := r.client.Start(r.ctx, request)
	if err != nil {
		r.t.Fatalf("start %s: %v", request.ID, err)
	}
	return state
}

// run starts a container and waits for its end.
func (r *rig) run(id string, args ...string) shim.Container {
	r.t.Helper()
	r.start(r.request(id, args...))
	return r.exited(id)
}

// exited waits for the exit event of a container.
func (r *rig) exited(id string) shim.Container {
	r.t.Helper()
	var found *shim.Container
	err := r.client.Events(r.ctx, 0, func(e shim.Event) error {
		if e.Kind == shim.EventExited && e.Container.ID == id {
			found = e.Container
			return errStop
		}
		return nil
	})
	if found == nil {
		r.t.Fatalf("wait for the end of %s: %v", id, err)
	}
	return *found
}

var errStop = fmt.Errorf("stop")

func (r *rig) state(id string) shim.Container {
	r.t.Helper()
	all, err := r.client.State(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(all.Containers, func(c shim.Container) bool { return c.ID == id })
	if i < 0 {
		r.t.Fatalf("container %s is not among %v", id, all.Containers)
	}
	return all.Containers[i]
}

// line is one line of a CRI log.
type line struct{ stream, tag, text string }

// lines reads a container's log, the rotated files too.
func (r *rig) lines(id string) []line {
	r.t.Helper()
	path := filepath.Join(r.logs, id, "0.log")
	var out []line
	for _, file := range append(crilog.Rotated(path), path) {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue // between two files of a rotation
		}
		if err != nil {
			r.t.Fatal(err)
		}
		for text := range strings.Lines(string(data)) {
			parts := strings.SplitN(strings.TrimSuffix(text, "\n"), " ", 4)
			if len(parts) != 4 {
				r.t.Fatalf("%s: line %.80q is not in the CRI format", file, text)
			}
			if _, err := time.Parse(time.RFC3339Nano, parts[0]); err != nil {
				r.t.Fatalf("%s: %v", file, err)
			}
			out = append(out, line{parts[1], parts[2], parts[3]})
		}
	}
	return out
}

// exec runs a command in a container and returns what it printed.
func (r *rig) exec(id string, args ...string) (string, shim.ExecResult) {
	r.t.Helper()
	if len(args) == 1 {
		args = []string{"/bin/sh", "-c", args[0]}
	}
	var out bytes.Buffer
	result, err := r.client.Exec(r.ctx, shim.ExecRequest{ID: id, Args: args}, shim.Streams{Stdout: &out, Stderr: &out})
	if err != nil {
		r.t.Fatalf("exec %q in %s: %v", args, id, err)
	}
	return out.String(), result
}
