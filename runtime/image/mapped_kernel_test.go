//go:build kernel

package image

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"writ/fixtures/kernel"
)

// otherUsers is a user namespace whose root is user 100000.
func otherUsers(t *testing.T) *os.File {
	t.Helper()
	keeper := exec.Command("cat") // until its input ends
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: 100_000, Size: 65_536}}, GidMappings: []syscall.SysProcIDMap{{HostID: 100_000, Size: 65_536}}}
	in, err := keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := keeper.Wait(); err != nil {
			t.Error(err)
		}
	})
	users, err := os.Open(filepath.Join("/proc", strconv.Itoa(keeper.Process.Pid), "ns/user"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { users.Close() })
	return users
}

// TestOpen_TakesStagedLayersAway: a daemon that is killed in the middle of a mount leaves layers where the folder of
// a container is, which goes some time. Neither may take the layers along.
func TestOpen_TakesStagedLayersAway(t *testing.T) {
	kernel.Require(t)
	dir := t.TempDir()
	kernel.CheckClean(t, dir)
	s := openStore(t, dir)
	img := pullSmall(t, s, map[string]string{"a": "1"}, map[string]string{"b": "2"})
	as := As{Users: otherUsers(t), First: 100_000, Stage: filepath.Join(dir, "a container", "layers")}
	staged, unstage, err := as.stage(s.lower(img, false))
	t.Cleanup(unstage)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(staged[1], "a")); err != nil {
		t.Error(err)
	} else if uid, _ := owner(st); uid != 100_000 {
		t.Errorf("the file belongs to %d, want 100000", uid)
	}
	if err := os.RemoveAll(filepath.Dir(as.Stage)); !errors.Is(err, unix.EROFS) {
		t.Errorf("removing a folder that layers are mounted in: got %v, want %v", err, unix.EROFS)
	}
	openStore(t, dir)
	if err := os.RemoveAll(filepath.Dir(as.Stage)); err != nil {
		t.Errorf("removing it after a restart: %v", err)
	}
	if got := content(t, s, img, 0, "a") + content(t, s, img, 1, "b"); got != "12" {
		t.Errorf("layers hold %q, want 12", got)
	}
	if _, err := os.Stat(filepath.Join(s.skeletonDir(), "etc/hosts")); err != nil {
		t.Error(err)
	}
}
