package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outside is what only a child needs that looks names up and speaks to servers.
var outside = []uint32{
	unix.SYS_OPENAT,
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
}

// refused is what a child that computes never needs: files by name, other programs, other
// processes, namespaces, and the parts of the kernel that are known for their holes.
var refused = []uint32{
	unix.SYS_OPENAT2, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_MEMFD_CREATE,
	unix.SYS_UNLINKAT, unix.SYS_MKDIRAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_FCHMODAT, unix.SYS_FCHOWNAT, unix.SYS_TRUNCATE,
	unix.SYS_LISTEN, unix.SYS_ACCEPT4,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_KILL, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_IO_URING_SETUP, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
}

// architectures are the audit numbers of the machines that the numbers above are right for.
var architectures = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64,
	"arm64": unix.AUDIT_ARCH_AARCH64,
}

// x32 marks the system calls of amd64's second calling convention, which have numbers of their own.
const x32 = 0x40000000

// Offsets into struct seccomp_data.
const (
	offsetNumber       = 0
	offsetArchitecture = 4
)

// program is the filter: wrong architecture kills, a refused call fails with EPERM, the rest passes.
func program(machine string, network bool) ([]unix.SockFilter, error) {
	architecture, ok := architectures[machine]
	if !ok {
		return nil, fmt.Errorf("no filter of system calls is known for %s", machine)
	}
	const (
		read   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		larger = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		end    = unix.BPF_RET | unix.BPF_K
	)
	calls := append(append([]uint32(nil), refused...), older...)
	if !network {
		calls = append(calls, outside...)
	}
	p := []unix.SockFilter{
		{Code: read, K: offsetArchitecture},
		{Code: equal, Jt: 1, K: architecture},
		{Code: end, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: read, K: offsetNumber},
		{Code: larger, Jt: uint8(len(calls)) + 1, K: x32},
	}
	for i, call := range calls {
		p = append(p, unix.SockFilter{Code: equal, Jt: uint8(len(calls) - i), K: call})
	}
	return append(p,
		unix.SockFilter{Code: end, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: end, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
	), nil
}

// load puts the filter on every thread of the process.
func load(p []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}
