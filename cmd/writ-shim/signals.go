package main

import (
	"log/slog"
	"syscall"
	"unsafe"
)

// action is the kernel's struct sigaction on 64-bit Linux (rt_sigaction(2)).
type action struct {
	handler, flags, restorer, mask uintptr
}

// lastSignal is the highest there is.
const lastSignal = 64

// ignored is the handler SIG_IGN; SIG_DFL is the zero action.
const ignored = 1

// defaultSignals gives every signal that was ignored when the shim was started its default action. A
// container inherits what is ignored, and who started the daemon (nohup, make) must not show in it.
func defaultSignals(log *slog.Logger) {
	for n := uintptr(1); n <= lastSignal; n++ {
		var now, none action
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, n, 0, uintptr(unsafe.Pointer(&now)), unsafe.Sizeof(now.mask), 0, 0); errno != 0 || now.handler != ignored {
			continue
		}
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, n, uintptr(unsafe.Pointer(&none)), 0, unsafe.Sizeof(none.mask), 0, 0); errno != 0 {
			log.Warn("a signal stays ignored", "signal", n, "err", errno)
		}
	}
}
