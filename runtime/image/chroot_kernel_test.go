//go:build kernel

package image

import (
	"archive/tar"
	"io/fs"
	"os/exec"
	"syscall"
	"testing"
)

func header(name string, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Uid: 4242, Gid: 4343}
}

func owner(st fs.FileInfo) (uid, gid uint32) {
	sys := st.Sys().(*syscall.Stat_t)
	return sys.Uid, sys.Gid
}

// runIn runs a program with the folder as its root.
func runIn(t *testing.T, root, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Path, cmd.Dir = program, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
