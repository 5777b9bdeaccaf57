package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// letGoPoll is how often a process that was let go is looked at until it has said that it goes, in milliseconds.
const letGoPoll = 50

// letGo lets a created process go. It may have gone already: a shim that was killed between the opening of the FIFO
// at which the process waits and its removal left one that nobody will ever write to. libcontainer's own way waits
// for that as long as the process lives.
func (c *container) letGo(pid int) error {
	path := filepath.Join(c.pod.runc(), c.id, "exec.fifo")
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0) // wakes who waits
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	fifo := os.NewFile(uintptr(fd), path)
	defer fifo.Close()
	for holds(pid, fifo) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, letGoPoll); n > 0 || err != nil && err != unix.EINTR {
			break // it has written
		}
	}
	return os.Remove(path)
}

// holds reports whether a process has a file open. One that waits to be let go holds its FIFO until it goes.
func holds(pid int, file *os.File) bool {
	want, err := file.Stat()
	if err != nil {
		return false
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if is, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && os.SameFile(want, is) {
			return true
		}
	}
	return false
}
