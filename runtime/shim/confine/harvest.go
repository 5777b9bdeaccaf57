package confine

import (
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// harvestLimit bounds the wait for a process to stop. It waits in a system
// call and stops at once.
const (
	harvestLimit  = time.Second
	harvestPeriod = 200 * time.Microsecond
)

// Harvest returns the one filter that a child of this process has. The child
// does not notice: it is stopped for a moment and a system call that it waits
// in begins again. It needs a kernel with checkpoint support
// (CONFIG_CHECKPOINT_RESTORE) and CAP_SYS_ADMIN, see ptrace(2).
func Harvest(pid int) (Program, error) {
	type result struct {
		program Program
		err     error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: what this thread traced is free when it ends
		p, err := harvest(pid)
		done <- result{p, err}
	}()
	r := <-done
	return r.program, r.err
}

func harvest(pid int) (Program, error) {
	if err := ptrace(unix.PTRACE_SEIZE, pid, 0, 0); err != nil {
		return nil, fmt.Errorf("trace %d: %w", pid, err)
	}
	if err := ptrace(unix.PTRACE_INTERRUPT, pid, 0, 0); err != nil {
		return nil, fmt.Errorf("stop %d: %w", pid, err)
	}
	signal, err := awaitStop(pid)
	if err != nil {
		return nil, fmt.Errorf("stop %d: %w", pid, err)
	}
	p, err := readFilter(pid)
	if err := errors.Join(err, ptrace(unix.PTRACE_DETACH, pid, 0, signal)); err != nil {
		return nil, fmt.Errorf("read filter of %d: %w", pid, err)
	}
	return p, p.check()
}

// siginfo is the part of siginfo_t that waitid(2) fills, on 64-bit machines.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid, uid, status   int32
	_                  [100]byte
}

// eventStop is what PTRACE_INTERRUPT stops with (PTRACE_EVENT_STOP).
const eventStop = 128

// awaitStop never takes the status of a child that ended instead. If the
// process stopped because of a signal that is about to reach it, that signal
// is returned, to be passed on.
func awaitStop(pid int) (signal uintptr, err error) {
	for deadline := time.Now().Add(harvestLimit); ; time.Sleep(harvestPeriod) {
		var info siginfo
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_PID, uintptr(pid), uintptr(unsafe.Pointer(&info)),
			unix.WSTOPPED|unix.WNOHANG|unix.WALL, 0, 0)
		switch {
		case errno != 0 && errno != unix.EINTR:
			return 0, errno
		case errno == 0 && info.pid != 0 && info.status>>8 == eventStop:
			return 0, nil
		case errno == 0 && info.pid != 0:
			return uintptr(info.status & 0x7f), nil
		case time.Now().After(deadline):
			return 0, errors.New("it does not stop")
		}
	}
}

// readFilter reads a stopped process's filter, and refuses if there is a second.
func readFilter(pid int) (Program, error) {
	if n, err := ptraceCount(pid, 1, nil); err == nil {
		return nil, fmt.Errorf("it has more than one filter, one of %d instructions", n)
	} else if err != unix.ENOENT {
		return nil, err
	}
	n, err := ptraceCount(pid, 0, nil)
	if err != nil {
		return nil, err
	}
	if n <= 0 || n > maxInstructions {
		return nil, fmt.Errorf("a filter of %d instructions cannot be", n)
	}
	p := make(Program, n*instructionSize)
	_, err = ptraceCount(pid, 0, unsafe.Pointer(&p[0]))
	return p, err
}

func ptrace(request, pid int, address, data uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), address, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// ptraceCount is PTRACE_SECCOMP_GET_FILTER: how many instructions filter number
// index has; they are copied to data unless that is nil.
func ptraceCount(pid, index int, data unsafe.Pointer) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SECCOMP_GET_FILTER, uintptr(pid), uintptr(index), uintptr(data), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
