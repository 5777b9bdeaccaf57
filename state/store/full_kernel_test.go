//go:build kernel

package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"writ/fixtures/kernel"
)

// A disk that something else fills up: decisions are refused and nothing breaks; with room again it goes on.
func TestPropose_RealDiskFull(t *testing.T) {
	kernel.Require(t)
	disk := smallDisk(t)
	cfg := Config{Dir: filepath.Join(disk, "store"), delay: time.Millisecond, checkpoint: 1 << 20}
	s := open(t, cfg)
	run(t, s, 12)
	filler := filepath.Join(disk, "filler")
	still(t, s)
	fill(t, filler, disk)
	before := s.World()
	for range 3 {
		b := batchOf(before, stepOf(before)+1)
		if _, err := s.Propose(context.Background(), b); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Fatalf("Propose: %v", err)
		}
	}
	if s.World() != before {
		t.Error("the World moved")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	run(t, s, 12)
	want := digest(t, s.World())
	closeStore(t, s)
	s = open(t, cfg)
	defer closeStore(t, s)
	if got := digest(t, s.World()); got != want {
		t.Errorf("World after reopening %s, want %s", got, want)
	}
}

// Closing on a disk that is full kills nobody and loses nothing that was decided.
func TestClose_RealDiskFull(t *testing.T) {
	kernel.Require(t)
	disk := smallDisk(t)
	cfg := Config{Dir: filepath.Join(disk, "store"), delay: time.Millisecond}
	s := open(t, cfg)
	run(t, s, 12)
	want := digest(t, s.World())
	filler := filepath.Join(disk, "filler")
	still(t, s)
	fill(t, filler, disk)
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("Close: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	defer closeStore(t, s)
	if got := digest(t, s.World()); got != want {
		t.Errorf("World after reopening %s, want %s", got, want)
	}
}

func smallDisk(t *testing.T) string {
	t.Helper()
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=160m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// still waits until nothing is on its way to Badger. A disk that is filled during a write, faster than
// the reserve allows for, kills the process like any kill.
func still(t *testing.T, s *Store) {
	t.Helper()
	for {
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
		due := s.due()
		s.records.mu.Lock()
		swept := len(s.records.past.versions) == 0
		s.records.mu.Unlock()
		if swept && !due {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// fill leaves a few pages.
func fill(t *testing.T, file, disk string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		if free, err := freeBytes(disk); err != nil || free < 2*uint64(len(block)) {
			return
		}
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
}
