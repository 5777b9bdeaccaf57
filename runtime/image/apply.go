package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/continuity/fs"
	"golang.org/x/sys/unix"
)

// mostFolderTimes bounds what is remembered of one layer until its end, in bytes: folders beyond have the time of
// their unpacking, which nothing depends on.
const mostFolderTimes = 16 << 20

// applier writes the entries of one layer into a folder that nobody else uses. Links are resolved within the
// folder; nothing is ever written through one that leads out of it. What it remembers does not grow with the
// number of entries.
type applier struct {
	root  string
	seen  *filter
	room  *room
	owned bool // files get the owner that the layer says

	dir, parent string // the last folder asked for, and where it really is; parent is empty for none
	folders     []folderTime
	remembered  int // bytes of folders
	chunk       []byte
}

type folderTime struct {
	path string
	at   time.Time
}

// apply writes every entry of a tar.
func (a *applier) apply(ctx context.Context, r io.Reader) error {
	a.chunk = make([]byte, sparseChunk)
	tr := tar.NewReader(r)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return a.finish()
		}
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		h.Name = filepath.Clean(h.Name)
		accepted, err := a.seen.accept(h)
		if err == nil && accepted {
			err = a.entry(ctx, h, tr)
		}
		if err != nil {
			return fmt.Errorf("entry %q: %w", clipped(h.Name), withoutPath(err))
		}
	}
}

// clipped keeps a hostile name from filling messages.
func clipped(name string) string {
	if len(name) > 200 {
		return name[:200] + "..."
	}
	return name
}

// withoutPath leaves out where on this node the entry was to go: the name in the layer says it.
func withoutPath(err error) error {
	var pe *os.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		return fmt.Errorf("%s: %w", pe.Op, pe.Err)
	case errors.As(err, &le):
		return fmt.Errorf("%s: %w", le.Op, le.Err)
	}
	return err
}

func (a *applier) entry(ctx context.Context, h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	path, err := a.place(h.Name)
	if err != nil || path == a.root {
		return err
	}
	if write, err := convertWhiteout(path, a); err != nil || !write {
		return err
	}
	// A folder over a folder is merged; everything else takes the place of what was there.
	if st, err := os.Lstat(path); err == nil && !(st.IsDir() && h.Typeflag == tar.TypeDir) {
		if err := a.remove(path); err != nil {
			return err
		}
	}
	if err := a.create(ctx, path, h, content); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeLink {
		return nil // owner, mode and times are those of the file itself
	}
	return a.dress(path, h)
}

// place is where an entry goes; its parent folders are made.
func (a *applier) place(name string) (string, error) {
	dir, base := filepath.Split(filepath.Join("/", name))
	if a.parent == "" || dir != a.dir {
		parent, err := fs.RootPath(a.root, dir)
		if err != nil {
			return "", fmt.Errorf("find its folder: %w", withoutPath(err))
		}
		if err := a.folder(parent); err != nil {
			return "", err
		}
		a.dir, a.parent = dir, parent
	}
	return filepath.Join(a.parent, base), nil
}

// folder makes a folder whose path leads through no link, with those above it.
func (a *applier) folder(path string) error {
	st, err := os.Lstat(path)
	switch {
	case err == nil && st.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%w: its folder is a file", ErrCorrupt)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := a.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// remove takes something away, and with it what is known of where folders are.
func (a *applier) remove(path string) error {
	a.parent = ""
	return os.RemoveAll(path)
}

func (a *applier) create(ctx context.Context, path string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return nil
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return a.file(ctx, path, h.Size, content)
	case tar.TypeSymlink:
		return os.Symlink(h.Linkname, path)
	case tar.TypeLink:
		to, err := a.linked(h.Linkname)
		if err != nil {
			return err
		}
		if st, err := os.Lstat(to); err == nil && st.IsDir() {
			return fmt.Errorf("%w: it is a hard link to a folder", ErrCorrupt)
		}
		return os.Link(to, path)
	case tar.TypeFifo:
		return unix.Mkfifo(path, 0o600)
	}
	return fmt.Errorf("%w: it is of the unknown type %q", ErrCorrupt, h.Typeflag)
}

// linked finds what a hard link is to. The last part is not followed if it is a symbolic link.
func (a *applier) linked(name string) (string, error) {
	dir, base := filepath.Split(filepath.Join("/", name))
	parent, err := fs.RootPath(a.root, dir)
	if err != nil {
		return "", fmt.Errorf("find what it links to: %w", withoutPath(err))
	}
	return filepath.Join(parent, base), nil
}

// sparseChunk is the unit of writing: what is all zeros becomes a hole.
const sparseChunk = 64 << 10

var zeroChunk [sparseChunk]byte

// file writes a regular file. A hole, or what could be one, takes no room.
func (a *applier) file(ctx context.Context, path string, size int64, content io.Reader) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hole := false
	for at := int64(0); ; {
		n, err := io.ReadFull(content, a.chunk)
		if n > 0 {
			if hole = bytes.Equal(a.chunk[:n], zeroChunk[:n]); !hole {
				if err := a.room.take(int64(n)); err != nil {
					return err
				}
				if _, err := f.WriteAt(a.chunk[:n], at); err != nil {
					return err
				}
			}
			at += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && at == size:
			if hole {
				return f.Truncate(at)
			}
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

// dress gives an entry its owner, attributes, mode and times, in an order in which none undoes another.
func (a *applier) dress(path string, h *tar.Header) error {
	if a.owned {
		if err := os.Lchown(path, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, paxAttribute)
		if !ok {
			continue
		}
		err := unix.Lsetxattr(path, name, []byte(value), 0)
		if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) && strings.HasPrefix(name, "user.") && h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
			continue // this file system, or this kind of file, has none
		}
		if err != nil {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := os.Chmod(path, h.FileInfo().Mode()); err != nil {
			return err
		}
	}
	if h.Typeflag == tar.TypeDir {
		if a.remembered += len(path) + 64; a.remembered <= mostFolderTimes {
			a.folders = append(a.folders, folderTime{path, h.ModTime})
		}
		return nil
	}
	return setTime(path, h.ModTime)
}

// finish sets the times of folders, which every file in them has moved. One that a later entry replaced is passed
// over: its path may lead through a link by now, and out of the layer.
func (a *applier) finish() error {
	for _, f := range a.folders {
		if now, err := fs.RootPath(a.root, strings.TrimPrefix(f.path, a.root)); err != nil || now != f.path {
			continue
		}
		if st, err := os.Lstat(f.path); err != nil || !st.IsDir() {
			continue
		}
		if err := setTime(f.path, f.at); err != nil {
			return err
		}
	}
	return nil
}

// setTime sets both times, of a link itself. What the file system cannot hold becomes the epoch.
func setTime(path string, at time.Time) error {
	if at.Unix() < 0 || at.Unix() > 1<<33 {
		at = time.Unix(0, 0)
	}
	t := unix.NsecToTimespec(at.UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "set time", Path: path, Err: err}
	}
	return nil
}
