package usage

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"writ/runtime/pressure"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	n, err := Read(dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	if !n.Shared {
		t.Error("one directory lies on two filesystems")
	}
	for _, s := range []pressure.Signal{pressure.MemoryAvailable, pressure.NodeFsAvailable, pressure.NodeFsInodesFree, pressure.ImageFsAvailable, pressure.ImageFsInodesFree, pressure.PIDAvailable} {
		l, ok := n.Levels[s]
		if !ok && slices.Contains([]pressure.Signal{pressure.NodeFsInodesFree, pressure.ImageFsInodesFree}, s) {
			continue // not every filesystem numbers them
		}
		if !ok || l.Available <= 0 || l.Capacity < l.Available {
			t.Errorf("%s: %+v (%v), want some of it left, and not more than there is", s, l, ok)
		}
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	if got, want := n.Levels[pressure.MemoryAvailable].Capacity, int64(info.Totalram)*int64(info.Unit); got != want {
		t.Errorf("memory capacity %d, want %d", got, want)
	}
	if _, err := Read(dir, dir+"/missing"); err == nil {
		t.Error("Read measures a directory that is not there")
	}
}

func TestRead_TwoDisks(t *testing.T) {
	var here, shm unix.Stat_t
	dir := t.TempDir()
	if unix.Stat(dir, &here) != nil || unix.Stat("/dev/shm", &shm) != nil || here.Dev == shm.Dev {
		t.Skip("there is only one filesystem")
	}
	n, err := Read(dir, "/dev/shm")
	if err != nil || n.Shared {
		t.Errorf("Read = %+v, %v, want two filesystems", n, err)
	}
}

func TestCgroup_Missing(t *testing.T) {
	if g, err := Cgroup("/no-such-group-" + t.Name()); err == nil && g != (Group{}) {
		t.Errorf("Cgroup of nothing = %+v", g)
	} else if err != nil && os.IsPermission(err) {
		t.Error(err)
	}
}
