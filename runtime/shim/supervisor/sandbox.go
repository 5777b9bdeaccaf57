package supervisor

import (
	"errors"
	"fmt"
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
	record := sandboxRecord{SandboxState: state, BootID: p.bootID}
	if err := writeJSON(p.paths.sandbox(), record, survivesKill); err != nil {
		return shim.SandboxState{}, fmt.Errorf("record sandbox: %w", err)
	}
	p.sandbox = &state
	return state, nil
}

func checkSandbox(s shim.Sandbox) error {
	switch {
	case s.CgroupPath != "" && (!filepath.IsAbs(s.CgroupPath) || filepath.Clean(s.CgroupPath) == "/"):
		return shim.Errorf(shim.CodeInvalid, "cgroup path %q must be absolute and not the root", s.CgroupPath)
	case s.NetNSPath != "" && !filepath.IsAbs(s.NetNSPath):
		return shim.Errorf(shim.CodeInvalid, "network namespace path %q must be absolute", s.NetNSPath)
	case len(s.Hostname) > 64: // sethostname(2)
		return shim.Errorf(shim.CodeInvalid, "host name %q is longer than 64 bytes", s.Hostname)
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
	if state.IPCPath == "" && state.UTSPath == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(shim.IPCPath(p.dir)), 0o700); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespaces
		failed <- unshareAndMount(state.IPCPath, state.UTSPath, state.Hostname)
	}()
	return <-failed
}

func unshareAndMount(ipc, uts, hostname string) error {
	if ipc != "" {
		if err := keepNamespace(unix.CLONE_NEWIPC, "ipc", ipc); err != nil {
			return err
		}
	}
	if uts == "" {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("make uts namespace: %w", err)
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	return mountNamespace("uts", uts)
}

func keepNamespace(flag int, kind, path string) error {
	if err := unix.Unshare(flag); err != nil {
		return fmt.Errorf("make %s namespace: %w", kind, err)
	}
	return mountNamespace(kind, path)
}

// mountNamespace mounts this thread's namespace on a file. What an earlier
// attempt mounted there goes first.
func mountNamespace(kind, path string) error {
	_ = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	file.Close()
	if err := unix.Mount("/proc/thread-self/ns/"+kind, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s namespace: %w", kind, err)
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
	for _, path := range []string{shim.IPCPath(p.dir), shim.UTSPath(p.dir)} {
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
