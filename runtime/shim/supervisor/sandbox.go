package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// makeSandbox makes what the pod's containers share and records it. A part
// that is there already is kept, so it may be repeated after any failure.
func (p *pod) makeSandbox(want shim.Sandbox) (shim.SandboxState, error) {
	if err := checkSandbox(want); err != nil {
		return shim.SandboxState{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return shim.SandboxState{}, shim.Errorf(shim.CodeConflict, "the pod is being shut down")
	}
	if p.sandbox != nil {
		if !reflect.DeepEqual(p.sandbox.Sandbox, want) {
			return *p.sandbox, shim.Errorf(shim.CodeConflict, "the pod has another sandbox already")
		}
		return *p.sandbox, nil
	}
	state := shim.SandboxState{Sandbox: want, CreatedAt: time.Now().UTC()}
	if err := p.makeNamespaces(&state); err != nil {
		return shim.SandboxState{}, err
	}
	if want.CgroupPath != "" {
		if err := makeCgroup(want.CgroupPath, want.Resources); err != nil {
			return shim.SandboxState{}, fmt.Errorf("create pod cgroup: %w", err)
		}
	}
	pause, err := p.startPause(&state)
	if err != nil {
		return shim.SandboxState{}, err
	}
	if err := p.recordSandbox(state, pause); err != nil {
		return shim.SandboxState{}, err
	}
	p.sandbox, p.pause = &state, pause
	return state, nil
}

func (p *pod) recordSandbox(state shim.SandboxState, pause identity) error {
	record := sandboxRecord{SandboxState: state, BootID: p.bootID, Pause: pause.pid, PauseStart: pause.start}
	if err := writeJSON(p.paths.sandbox(), record, survivesKill); err != nil {
		return fmt.Errorf("record sandbox: %w", err)
	}
	return nil
}

func checkSandbox(s shim.Sandbox) error {
	switch {
	case s.CgroupPath != "" && (!filepath.IsAbs(s.CgroupPath) || filepath.Clean(s.CgroupPath) == "/"):
		return shim.Errorf(shim.CodeInvalid, "cgroup path %q must be absolute and not the root", s.CgroupPath)
	case s.NetNSPath != "" && !filepath.IsAbs(s.NetNSPath):
		return shim.Errorf(shim.CodeInvalid, "network namespace path %q must be absolute", s.NetNSPath)
	case len(s.Hostname) > 64: // sethostname(2)
		return shim.Errorf(shim.CodeInvalid, "host name %q is longer than 64 bytes", s.Hostname)
	case s.SharePIDs && (!filepath.IsAbs(s.PauseRoot) || s.CgroupPath == ""):
		return shim.Errorf(shim.CodeInvalid, "a shared pid namespace needs a cgroup and a root for process 1, not %q", s.PauseRoot)
	case s.Users != nil && (s.Users.First == 0 || s.Users.Length == 0):
		return shim.Errorf(shim.CodeInvalid, "user namespace of %d users from %d on", s.Users.Length, s.Users.First)
	case s.Users != nil && (s.HostIPC || s.Hostname == ""):
		return shim.Errorf(shim.CodeInvalid, "a user namespace goes with namespaces of the pod's own")
	}
	for name := range s.Sysctls {
		if file := sysctlFile(name); file == "." || !fs.ValidPath(file) {
			return shim.Errorf(shim.CodeInvalid, "sysctl %q", name)
		}
	}
	return nil
}

// makeNamespaces makes the pod's own namespaces and mounts each on a file,
// which keeps it without a process in it.
func (p *pod) makeNamespaces(state *shim.SandboxState) error {
	if !state.HostIPC {
		state.IPCPath = shim.IPCPath(p.dir)
	}
	if state.Hostname != "" {
		state.UTSPath = shim.UTSPath(p.dir)
	}
	if state.IPCPath == "" && state.UTSPath == "" && len(state.Sysctls) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(shim.IPCPath(p.dir)), 0o700); err != nil {
		return err
	}
	if state.Users != nil {
		state.UserPath = shim.UserPath(p.dir)
		if err := p.makeUsers(state); err != nil {
			return err
		}
	}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespaces
		failed <- p.furnish(state)
	}()
	return <-failed
}

// furnish makes, or enters, the pod's namespaces with the calling thread and
// sets in them what the pod asks for.
func (p *pod) furnish(state *shim.SandboxState) error {
	if err := settle(unix.CLONE_NEWIPC, "ipc", state.IPCPath, state.Users != nil); err != nil {
		return err
	}
	if err := settle(unix.CLONE_NEWUTS, "uts", state.UTSPath, state.Users != nil); err != nil {
		return err
	}
	if state.UTSPath != "" {
		if err := unix.Sethostname([]byte(state.Hostname)); err != nil {
			return fmt.Errorf("set host name: %w", err)
		}
	}
	if state.NetNSPath == "" || len(state.Sysctls) == 0 && state.Users == nil {
		return setSysctls(state.Sysctls)
	}
	if err := enterNamespace(unix.CLONE_NEWNET, state.NetNSPath); err != nil {
		return err
	}
	if state.Users != nil {
		if err := mountSys(shim.SysPath(p.dir)); err != nil {
			return err
		}
	}
	return setSysctls(state.Sysctls)
}

// settle brings the calling thread into the namespace of a path: one that it
// makes there, or one that is there already.
func settle(flag int, kind, path string, there bool) error {
	switch {
	case path == "":
		return nil
	case there:
		return enterNamespace(flag, path)
	}
	if err := unix.Unshare(flag); err != nil {
		return fmt.Errorf("make %s namespace: %w", kind, err)
	}
	return mountNamespace("/proc/thread-self/ns/"+kind, path)
}

func enterNamespace(flag int, path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, flag); err != nil {
		return fmt.Errorf("enter namespace %s: %w", path, err)
	}
	return nil
}

// mountNamespace mounts a namespace on a file. What an earlier attempt mounted
// there goes first.
func mountNamespace(from, path string) error {
	_ = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	file.Close()
	if err := unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount namespace %s: %w", from, err)
	}
	return nil
}

// podCgroup is the manager of a cgroup that holds no device rules of its own.
func podCgroup(path string, resources *specs.LinuxResources) (cgroups.Manager, *cgroups.Resources, error) {
	config, err := specconv.CreateCgroupConfig(&specconv.CreateOpts{
		CgroupName: filepath.Base(path),
		Spec:       &specs.Spec{Linux: &specs.Linux{CgroupsPath: path, Resources: resources}},
	}, nil)
	if err != nil {
		return nil, nil, err
	}
	config.Resources.SkipDevices = true
	m, err := manager.New(config)
	return m, config.Resources, err
}

func makeCgroup(path string, resources *specs.LinuxResources) error {
	m, converted, err := podCgroup(path, resources)
	if err != nil {
		return err
	}
	if err := m.Apply(-1); err != nil {
		return err
	}
	return m.Set(converted)
}

// removeSandbox undoes makeSandbox.
func (p paths) removeSandbox(s shim.SandboxState) error {
	var errs []error
	if s.SharePIDs {
		errs = append(errs, p.removePause(s))
	}
	for _, path := range []string{shim.IPCPath(p.dir), shim.UTSPath(p.dir), shim.UserPath(p.dir), shim.PIDPath(p.dir), shim.SysPath(p.dir)} {
		_ = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if s.CgroupPath != "" {
		m, _, err := podCgroup(s.CgroupPath, nil)
		if err == nil {
			err = m.Destroy()
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 || errors.Join(errs...) == nil {
		return errors.Join(os.RemoveAll(p.sandbox()))
	}
	return errors.Join(errs...)
}
