package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limits is what a child may use.
type Limits struct {
	Memory int64 // bytes of private memory
	CPU    int64 // seconds

	// Network leaves the way to key services open: sockets, and files that everybody may read, as names
	// and certificates are looked up in them.
	Network bool
}

// nobody is the user and group that owns nothing.
const nobody = 65534

// Enter gives up everything but memory, processor and the files that are open. When it returns an
// error the process must end.
func Enter(l Limits) error {
	debug.SetMemoryLimit(l.Memory / 4 * 3)
	if os.Geteuid() == 0 {
		if err := leaveRoot(l.Network); err != nil {
			return err
		}
	}
	for _, limit := range []struct {
		what  int
		value int64
	}{
		{unix.RLIMIT_DATA, l.Memory},
		{unix.RLIMIT_CPU, l.CPU},
		{unix.RLIMIT_FSIZE, 0},
		{unix.RLIMIT_CORE, 0},
	} {
		r := unix.Rlimit{Cur: uint64(limit.value), Max: uint64(limit.value)}
		if err := unix.Setrlimit(limit.what, &r); err != nil {
			return fmt.Errorf("limit resource %d: %w", limit.what, err)
		}
	}
	return filter(l.Network)
}

// leaveRoot closes the door behind the child: a user who owns nothing and, unless it has to look names
// up, an empty root directory.
func leaveRoot(network bool) error {
	if !network {
		if err := emptyRoot(); err != nil {
			return err
		}
	}
	return becomeNobody()
}

func emptyRoot() error {
	empty, err := os.MkdirTemp("", "writ-render-")
	if err != nil {
		return fmt.Errorf("make an empty root: %w", err)
	}
	// A directory that is removed while somebody stands in it stays, empty for ever and without a name.
	if err := errors.Join(os.Chdir(empty), os.Remove(empty), syscall.Chroot(".")); err != nil {
		return fmt.Errorf("enter an empty root: %w", err)
	}
	return nil
}

func becomeNobody() error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("drop groups: %w", err)
	}
	if err := syscall.Setresgid(nobody, nobody, nobody); err != nil {
		return fmt.Errorf("drop group: %w", err)
	}
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return fmt.Errorf("drop user: %w", err)
	}
	return nil
}

// filter makes every system call that reaches beyond the process fail, on all threads.
func filter(network bool) error {
	program, err := program(runtime.GOARCH, network)
	if err != nil {
		return err
	}
	// The filter needs no privilege once no new one can be gained; both hold for every thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if err := load(program); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	return nil
}
