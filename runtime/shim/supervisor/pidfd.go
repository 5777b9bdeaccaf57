package supervisor

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pidfd refers to one process whatever happens to its number (pidfd_open(2)).
type pidfd struct {
	pid  int
	file *os.File // nonblocking, so that waiting takes no thread
}

func openPidfd(pid int) (*pidfd, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &pidfd{pid: pid, file: os.NewFile(uintptr(fd), "pidfd")}, nil
}

func (p *pidfd) close() { p.file.Close() }

// wait blocks until the process has ended, which is before it is reaped.
func (p *pidfd) wait() error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		var ended bool
		ended, failed = readable(int(fd))
		return ended || failed != nil
	})
	return errors.Join(err, failed)
}

func readable(fd int) (bool, error) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err == unix.EINTR {
			continue
		}
		return n > 0, err
	}
}

func (p *pidfd) signal(sig syscall.Signal) error {
	return p.control(func(fd int) error { return unix.PidfdSendSignal(fd, sig, nil, 0) })
}

func (p *pidfd) control(f func(fd int) error) error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// pin mounts the pidfd on a file. The kernel keeps the exit status with it
// (since 6.15), so it can be had after the process is reaped and with no
// program running that held it. It reports false where the kernel cannot.
func (p *pidfd) pin(path string) bool {
	err := p.control(func(fd int) error {
		tree, err := unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
		if err != nil {
			return err
		}
		defer unix.Close(tree)
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		file.Close()
		return unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
	})
	return err == nil
}

// pinned reports whether a process is pinned on path.
func pinned(path string) bool {
	const pidfs = 0x50494446 // PID_FS_MAGIC of linux/magic.h
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == pidfs
}

// unpin undoes pin; a file that is no mount is fine.
func unpin(path string) {
	_ = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	_ = os.Remove(path)
}

// pinnedStatus returns the wait status of the process that was pinned on path.
func pinnedStatus(path string) (unix.WaitStatus, bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	return exitInfo(fd)
}

// pidfdInfo is struct pidfd_info of linux/pidfd.h in its first published size.
type pidfdInfo struct {
	mask     uint64
	cgroupID uint64
	ids      [11]uint32
	exitCode int32
}

const (
	pidfdInfoExit  = 1 << 3
	pidfdGetInfo   = 3<<30 | unsafe.Sizeof(pidfdInfo{})<<16 | 0xff<<8 | 11 // _IOWR(0xFF, 11, struct pidfd_info)
	exitWaitLimit  = 2 * time.Second
	exitWaitPeriod = 2 * time.Millisecond
)

// exitInfo asks the kernel for the status of a process that was reaped.
func exitInfo(fd int) (unix.WaitStatus, bool) {
	info := pidfdInfo{mask: pidfdInfoExit}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	if errno != 0 || info.mask&pidfdInfoExit == 0 {
		return 0, false
	}
	return unix.WaitStatus(info.exitCode), true
}

// exitStatus returns how a process that wait returned for has ended, without
// reaping it: by asking as its parent, by looking at the zombie, or by asking
// for what the kernel kept of it. It reports false if nobody knows any more.
func (p *pidfd) exitStatus(start uint64) (unix.WaitStatus, bool) {
	deadline := time.Now().Add(exitWaitLimit)
	for {
		if status, ok := p.peek(start); ok {
			return status, true
		}
		if time.Now().After(deadline) {
			return 0, false
		}
		time.Sleep(exitWaitPeriod) // between a zombie's end and its information is a moment
	}
}

func (p *pidfd) peek(start uint64) (status unix.WaitStatus, ok bool) {
	err := p.control(func(fd int) error {
		if status, ok = peekChild(fd); ok {
			return nil
		}
		if stat, err := readStat(p.pid); err == nil && stat.start == start && stat.state == 'Z' {
			status, ok = unix.WaitStatus(stat.waitStatus), true
			return nil
		}
		status, ok = exitInfo(fd)
		return nil
	})
	return status, ok && err == nil
}

// siginfo is the part of siginfo_t that waitid(2) fills, on 64-bit machines.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid, uid, status   int32
	_                  [100]byte
}

const (
	cldExited = 1
	cldDumped = 3
)

func peekChild(fd int) (unix.WaitStatus, bool) {
	var info siginfo
	_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_PIDFD, uintptr(fd), uintptr(unsafe.Pointer(&info)),
		unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, 0, 0)
	if errno != 0 || info.pid == 0 {
		return 0, false
	}
	switch info.code {
	case cldExited:
		return unix.WaitStatus(info.status << 8), true
	case cldDumped:
		return unix.WaitStatus(info.status | 0x80), true
	}
	return unix.WaitStatus(info.status), true
}
