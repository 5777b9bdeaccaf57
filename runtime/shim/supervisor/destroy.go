package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// Destroy removes all that a pod left: its shim, its processes, its cgroups,
// its namespaces and the directory, whatever state they are in. It may be
// repeated.
func Destroy(dir string, log *slog.Logger) error {
	p := paths{dir}
	bootID, err := readBootID()
	if err != nil {
		return err
	}
	lock, err := p.killShim(bootID)
	if err != nil {
		return err
	}
	defer lock.Close()
	entries, err := os.ReadDir(p.containers())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		p.destroyContainer(e.Name(), bootID, log)
	}
	var box sandboxRecord
	if found, err := readJSON(p.sandbox(), &box); err != nil {
		log.Warn("sandbox record is damaged", "err", err)
	} else if found {
		if box.SharePIDs {
			killProcess(box.pause(), bootID)
		}
		if err := killCgroup(box.CgroupPath); err != nil {
			return err
		}
		if err := p.removeSandbox(box.SandboxState); err != nil {
			return err
		}
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// End ends the shim of a directory and nothing that it holds.
func End(dir string) error {
	bootID, err := readBootID()
	if err != nil {
		return err
	}
	lock, err := paths{dir}.killShim(bootID)
	if err != nil {
		return err
	}
	return lock.Close()
}

const (
	destroyLimit  = 10 * time.Second
	destroyPeriod = 5 * time.Millisecond
)

// killShim ends the shim of the directory and takes its lock.
func (p paths) killShim(bootID string) (*os.File, error) {
	deadline := time.Now().Add(destroyLimit)
	for {
		lock, err := acquire(p.lock())
		if !errors.Is(err, ErrHeld) {
			return lock, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("end the shim: %w", err)
		}
		var s self
		if found, err := readJSON(p.self(), &s); err == nil && found {
			killProcess(identity{s.PID, s.PIDStart, s.BootID}, bootID)
		}
		time.Sleep(destroyPeriod)
	}
}

// killProcess kills exactly this process and waits for its end.
func killProcess(who identity, bootID string) {
	if !who.alive(bootID) {
		return
	}
	fd, err := openPidfd(who.pid)
	if err != nil {
		return
	}
	defer fd.close()
	if !who.alive(bootID) { // the number was not reused before the descriptor was open
		return
	}
	_ = fd.signal(unix.SIGKILL)
	_ = fd.file.SetReadDeadline(time.Now().Add(destroyLimit))
	_ = fd.wait()
}

// destroyContainer removes what one container has in the kernel. What fails is
// logged: Destroy fails on what is left.
func (p paths) destroyContainer(id, bootID string, log *slog.Logger) {
	var state shim.Container
	if _, err := readJSON(p.state(id), &state); err != nil {
		log.Warn("container record is damaged", "container", id, "err", err)
	}
	handle, err := libcontainer.Load(p.runc(), id)
	if err == nil {
		_ = handle.Signal(unix.SIGKILL)
	}
	killProcess(identity{state.PID, state.PIDStart, state.BootID}, bootID)
	unpin(p.pin(id))
	if f := p.loadForeign(id); f != nil {
		f.killAll()
		if err := f.remove(); err != nil {
			log.Warn("remove container", "container", id, "err", err)
		}
	}
	var request shim.StartRequest
	if _, err := readJSON(p.request(id), &request); err == nil && request.Spec != nil && request.Spec.Linux != nil {
		if err := killCgroup(request.Spec.Linux.CgroupsPath); err != nil {
			log.Warn("remove container cgroup", "container", id, "err", err)
		}
	}
	if handle != nil {
		if err := handle.Destroy(); err != nil {
			log.Warn("remove container", "container", id, "err", err)
		}
	}
	_ = os.RemoveAll(filepath.Join(p.runc(), id))
}

// killCgroup kills everything in a cgroup and removes it.
func killCgroup(path string) error {
	if path == "" || filepath.Clean(path) == "/" {
		return nil
	}
	m, _, err := podCgroup(path, nil)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(destroyLimit)
	for {
		pids, err := allPIDs(m)
		if err != nil || len(pids) == 0 {
			return m.Destroy()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroup %s: %d processes do not end", path, len(pids))
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(destroyPeriod)
	}
}

// allPIDs lists the processes of a cgroup in every hierarchy: they may differ
// after a crash.
func allPIDs(m cgroups.Manager) ([]int, error) {
	var out []int
	for _, path := range m.GetPaths() {
		pids, err := cgroups.GetAllPids(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		out = append(out, pids...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// unmountBelow unmounts everything in the directory, the deepest first. It is
// an error if something stays: what would be deleted then is not the pod's.
func unmountBelow(dir string) error {
	for range 3 {
		points, err := mountsBelow(dir)
		if err != nil || len(points) == 0 {
			return err
		}
		for _, point := range slices.Backward(points) {
			if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
				return fmt.Errorf("unmount %s: %w", point, err)
			}
		}
	}
	points, err := mountsBelow(dir)
	if len(points) > 0 {
		return fmt.Errorf("still mounted: %s", strings.Join(points, ", "))
	}
	return err
}

// mountsBelow lists mount points under a directory in the order they were made.
func mountsBelow(dir string) ([]string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(table)) {
		fields := strings.SplitN(line, " ", 6)
		if len(fields) < 6 {
			continue
		}
		if point := unescape(fields[4]); strings.HasPrefix(point, real+"/") {
			out = append(out, point)
		}
	}
	return out, nil
}

// unescape reads the octal escapes of proc_pid_mountinfo(5).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
