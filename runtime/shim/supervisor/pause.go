package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runc/libcontainer"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

const (
	// pauseName is how process 1 of a shared pid namespace shows, and how this program
	// knows that it is one.
	pauseName = "/pause"
	// pauseID is what libcontainer knows it by. No container of a pod can have it.
	pauseID = "_pause"
	// pauseUser is who it runs as: that of Kubernetes' pause image.
	pauseUser = 65535
	// pauseScore is its oom_score_adj: with it everything in the namespace ends.
	pauseScore = -998
)

// startPause starts process 1 of a pod whose containers share their processes. A
// sandbox without has none.
func (p *pod) startPause(state *shim.SandboxState) (pause identity, err error) {
	if !state.SharePIDs {
		return pause, nil
	}
	if err := p.removePause(*state); err != nil {
		return pause, fmt.Errorf("remove process 1: %w", err)
	}
	spec, err := p.pauseSpec(state)
	if err != nil {
		return pause, fmt.Errorf("start process 1: %w", err)
	}
	config, err := p.config(pauseID, spec)
	if err != nil {
		return pause, fmt.Errorf("start process 1: %w", err)
	}
	process, err := newProcess(spec.Process)
	if err != nil {
		return pause, err
	}
	process.Init = true
	if err := p.entered(); err != nil {
		return pause, err
	}
	// Nobody waits for it: the reaper takes it when it ends, as it does after a takeover.
	end := p.reaper.begin()
	defer end()
	handle, err := libcontainer.Create(p.runc(), pauseID, config)
	if err != nil {
		return pause, fmt.Errorf("start process 1: %w", err)
	}
	if err := handle.Run(process); err != nil {
		return pause, fmt.Errorf("start process 1: %s", startMessage(err))
	}
	pid, err := process.Pid()
	if err != nil {
		return pause, err
	}
	if pause, err = identify(pid, p.bootID); err != nil {
		return pause, err
	}
	state.PIDPath = shim.PIDPath(p.dir)
	return pause, mountNamespace("/proc/"+strconv.Itoa(pid)+"/ns/pid", state.PIDPath)
}

// keepPause makes sure that process 1 is there before a container is started. Where
// it died every container of the pod died with it, and the next ones get another. It
// may wait for a process that cannot be killed: only other starts wait with it.
func (p *pod) keepPause(box *shim.SandboxState) error {
	if !box.SharePIDs {
		return nil
	}
	p.pausing.Lock()
	defer p.pausing.Unlock()
	p.mu.Lock()
	state, pause := *p.sandbox, p.pause
	p.mu.Unlock()
	if !pause.alive(p.bootID) || exiting(pause.pid) {
		p.log.Warn("process 1 of the pod is gone, another one is started", "pid", pause.pid)
		var err error
		if pause, err = p.startPause(&state); err != nil {
			return err
		}
		if err := p.recordSandbox(state, pause); err != nil {
			return err
		}
		p.mu.Lock()
		p.sandbox, p.pause = &state, pause
		p.mu.Unlock()
	}
	*box = state
	return nil
}

// exiting says that a process is about to end, or has: process 1 ends after everything else in its namespace, and lets
// nothing begin there meanwhile.
func exiting(pid int) bool {
	const exits = 0x4 // PF_EXITING
	stat, err := readStat(pid)
	return err != nil || stat.state == 'Z' || stat.flags&exits != 0
}

// pauseSpec is a process with nothing: no capability, no file but its own program,
// no limit of its own. It confines itself further once it runs.
func (p *pod) pauseSpec(state *shim.SandboxState) (*specs.Spec, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(state.PauseRoot, dir), 0o755); err != nil {
			return nil, err
		}
	}
	if err := writeFile(filepath.Join(state.PauseRoot, pauseName), nil, survivesKill); err != nil {
		return nil, err
	}
	score := pauseScore
	spec := &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: state.PauseRoot, Readonly: true},
		Process: &specs.Process{
			Args: []string{pauseName}, Cwd: "/", Env: []string{"PATH=/"},
			User:            specs.User{UID: pauseUser, GID: pauseUser},
			Capabilities:    &specs.LinuxCapabilities{},
			NoNewPrivileges: true, OOMScoreAdj: &score, SelinuxLabel: state.ProcessLabel,
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "mode=755", "size=64k"}},
			{Destination: pauseName, Type: "bind", Source: program, Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: filepath.Join(state.CgroupPath, pauseID),
			Namespaces:  pauseNamespaces(state),
			Resources:   &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
		},
	}
	p.host.limit(spec.Process)
	return spec, nil
}

func pauseNamespaces(state *shim.SandboxState) []specs.LinuxNamespace {
	out := []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}}
	for _, ns := range []specs.LinuxNamespace{
		{Type: specs.NetworkNamespace, Path: state.NetNSPath}, {Type: specs.IPCNamespace, Path: state.IPCPath},
		{Type: specs.UTSNamespace, Path: state.UTSPath}, {Type: specs.UserNamespace, Path: state.UserPath},
	} {
		if ns.Path != "" {
			out = append(out, ns)
		}
	}
	return out
}

// removePause ends process 1, and with it what is left in its namespace, and takes
// away what it has in the kernel.
func (p paths) removePause(s shim.SandboxState) error {
	if handle, err := libcontainer.Load(p.runc(), pauseID); err == nil {
		bootID, err := readBootID()
		if err != nil {
			return err
		}
		if state, err := handle.State(); err == nil {
			killProcess(identity{state.InitProcessPid, state.InitProcessStartTime, bootID}, bootID)
		}
		if err := killCgroup(filepath.Join(s.CgroupPath, pauseID)); err != nil {
			return err
		}
		if err := handle.Destroy(); err != nil {
			return err
		}
	}
	_ = unix.Unmount(shim.PIDPath(p.dir), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	err := os.Remove(shim.PIDPath(p.dir))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(filepath.Join(p.runc(), pauseID)))
}
