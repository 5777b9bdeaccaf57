package usage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"writ/runtime/pressure"
)

const (
	// walkDepth is how many directories above the one that is read are held open. What lies above them is
	// found again by "..", so that nobody takes the node's descriptors by nesting directories.
	walkDepth = 64
	// walkLinks bounds the files with several names that are remembered; beyond it each name counts.
	walkLinks = 1 << 20
	// walkChunk is how many entries are looked at between two rests. A rest is three times as long as the
	// work before it: measuring takes no more than a quarter of one core.
	walkChunk = 2048
	restFor   = 3
)

// errMoved is that what was measured was moved away meanwhile.
var errMoved = errors.New("a directory was moved while it was measured")

// Disk is what a directory and all below it take of its filesystem: blocks as they are allocated, a file
// with several names once. Other filesystems mounted below are left out, links are not followed, and
// nothing that a container renames meanwhile leads out of the directory. What is not there takes nothing.
// Gently, it takes its time and never more than a quarter of a core.
func Disk(ctx context.Context, dir string, gently bool) (pressure.Use, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return pressure.Use{}, nil
	}
	if err != nil {
		return pressure.Use{}, fmt.Errorf("measure %s: %w", dir, err)
	}
	w := walk{ctx: ctx, gently: gently, links: map[uint64]bool{}, buf: make([]byte, 32<<10), begun: time.Now()}
	defer w.close()
	if err := w.enter(fd); err != nil {
		return pressure.Use{}, fmt.Errorf("measure %s: %w", dir, err)
	}
	if err := w.all(); err != nil {
		return w.use, fmt.Errorf("measure %s: %w", dir, err)
	}
	return w.use, nil
}

// walk goes through a tree depth first, in memory that does not depend on how many files there are.
type walk struct {
	ctx    context.Context
	use    pressure.Use
	dev    uint64
	stack  []frame
	links  map[uint64]bool // inodes with several names that were counted
	buf    []byte
	looks  int
	gently bool
	begun  time.Time // of the work since the last rest
}

// frame is a directory that is being read.
type frame struct {
	fd      int // -1: closed, found again from below
	ino     uint64
	at      int64   // where reading goes on after the entry that was looked at last
	entries []entry // read and not looked at yet
	end     bool    // nothing more to read
}

// entry is a name in a directory, and where reading goes on after it.
type entry struct {
	name string
	next int64
}

func (w *walk) close() {
	for _, f := range w.stack {
		if f.fd >= 0 {
			unix.Close(f.fd)
		}
	}
}

// enter begins with a directory, whose descriptor it owns.
func (w *walk) enter(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return err
	}
	if len(w.stack) == 0 {
		w.dev = st.Dev
	}
	if st.Dev != w.dev { // something is mounted there
		unix.Close(fd)
		return nil
	}
	w.use = pressure.Use{Bytes: w.use.Bytes + st.Blocks*512, Inodes: w.use.Inodes + 1}
	w.stack = append(w.stack, frame{fd: fd, ino: st.Ino})
	if above := len(w.stack) - 1 - walkDepth; above > 0 && w.stack[above].fd >= 0 { // the top one stays open
		f := &w.stack[above]
		unix.Close(f.fd)
		f.fd, f.entries, f.end = -1, nil, false // what is left of it is read again
	}
	return nil
}

// leave ends a directory and opens the one above again if it was closed.
func (w *walk) leave() error {
	last := len(w.stack) - 1
	defer func() { w.stack = w.stack[:last] }()
	fd := w.stack[last].fd
	defer unix.Close(fd)
	if last == 0 || w.stack[last-1].fd >= 0 {
		return nil
	}
	up, err := unix.Openat(fd, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(up, &st); err != nil || st.Ino != w.stack[last-1].ino || st.Dev != w.dev {
		unix.Close(up)
		return errors.Join(errMoved, err)
	}
	w.stack[last-1].fd = up
	_, err = unix.Seek(up, w.stack[last-1].at, unix.SEEK_SET)
	return err
}

func (w *walk) all() error {
	for len(w.stack) > 0 {
		f := &w.stack[len(w.stack)-1]
		if len(f.entries) == 0 && !f.end {
			if err := f.read(w.buf); err != nil {
				return err
			}
		}
		if len(f.entries) == 0 {
			if !f.end { // a signal ends a read early: it may have told of nothing but "."
				continue
			}
			if err := w.leave(); err != nil {
				return err
			}
			continue
		}
		e := f.entries[0]
		f.entries, f.at = f.entries[1:], e.next
		if err := w.look(f.fd, e.name); err != nil {
			return err
		}
		if err := w.rest(); err != nil {
			return err
		}
	}
	return nil
}

// mountedAt says that something is mounted at a name, without asking what is: it may not answer.
func mountedAt(dir int, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// look counts one entry. What went away meanwhile takes nothing.
func (w *walk) look(dir int, name string) error {
	if mountedAt(dir, name) {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return vanished(err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return vanished(err)
		}
		return w.enter(fd)
	}
	if st.Dev != w.dev {
		return nil
	}
	if st.Nlink > 1 {
		if w.links[st.Ino] {
			return nil
		}
		if len(w.links) < walkLinks {
			w.links[st.Ino] = true
		}
	}
	w.use = pressure.Use{Bytes: w.use.Bytes + st.Blocks*512, Inodes: w.use.Inodes + 1}
	return nil
}

func vanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	return err
}

// rest lets others work.
func (w *walk) rest() error {
	if w.looks++; w.looks%walkChunk != 0 {
		return nil
	}
	if !w.gently {
		return w.ctx.Err()
	}
	select {
	case <-w.ctx.Done():
		return w.ctx.Err()
	case <-time.After(restFor * time.Since(w.begun)):
	}
	w.begun = time.Now()
	return nil
}

// read takes the next entries of a directory.
func (f *frame) read(buf []byte) error {
	n, err := unix.Getdents(f.fd, buf)
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil || n == 0:
		f.end = true
		return vanished(err)
	}
	// linux_dirent64: ino and offset, 8 bytes each, length, 2, type, 1, then the name with a zero behind it.
	const nextAt, nameAt = 8, 19
	for b := buf[:n]; len(b) > nameAt; {
		length := int(binary.NativeEndian.Uint16(b[16:]))
		if length < nameAt || length > len(b) {
			return errors.New("the kernel tells directory entries of an unknown form")
		}
		name, _, _ := strings.Cut(string(b[nameAt:length]), "\x00")
		if name != "." && name != ".." {
			f.entries = append(f.entries, entry{name, int64(binary.NativeEndian.Uint64(b[nextAt:]))})
		}
		b = b[length:]
	}
	return nil
}
