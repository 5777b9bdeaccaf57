package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// namespaces are what a child has of its own: an empty network, and nobody to see or to signal.
const namespaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS

// confine puts a child into namespaces of its own; it dies with the thread that started it at the
// latest, and what else it may do it gives up itself (package sandbox).
func confine(command *exec.Cmd) {
	attributes := &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	if os.Geteuid() != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
	}
	command.SysProcAttr = attributes
}

// launch starts a command. Where an ordinary user may not make namespaces, the child's own filter of
// system calls has to do.
func launch(command *exec.Cmd) error {
	err := command.Start()
	if os.Geteuid() != 0 && command.SysProcAttr.Cloneflags != 0 && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL)) {
		command.Process = nil
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return command.Start()
	}
	return err
}
