package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// makeUsers makes the pod's user namespace, and an IPC and a UTS namespace
// that belong to it, and mounts each on its file. Only a process can make
// them, so one is started that waits until they are mounted.
func (p *pod) makeUsers(state *shim.SandboxState) error {
	runtime.LockOSThread() // the holder is to end with the thread that started it
	defer runtime.UnlockOSThread()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(state.Users.First), Size: int(state.Users.Length)}}
	holder := &exec.Cmd{Path: "/proc/self/exe", Args: []string{pauseName}, Dir: "/", SysProcAttr: &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS, UidMappings: ids, GidMappings: ids,
		GidMappingsEnableSetgroups: true, Pdeathsig: unix.SIGKILL, Setsid: true,
	}}
	end := p.reaper.begin()
	if err := holder.Start(); err != nil {
		end()
		return fmt.Errorf("make user namespace: %w", err)
	}
	pid := holder.Process.Pid
	p.reaper.keep(pid)
	end()
	defer func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
		p.reaper.release(pid)
	}()
	for kind, path := range map[string]string{"user": state.UserPath, "ipc": state.IPCPath, "uts": state.UTSPath} {
		if err := mountNamespace("/proc/"+strconv.Itoa(pid)+"/ns/"+kind, path); err != nil {
			return err
		}
	}
	return nil
}

// mountSys mounts a sysfs of the calling thread's network. Containers of a user
// namespace that does not own the network cannot, and bind this one.
func mountSys(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	_ = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err := unix.Mount("sysfs", path, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	return nil
}
