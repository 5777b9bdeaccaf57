package sync

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

var (
	errSymlink   = errors.New("symbolic link is not followed")
	errSubmodule = errors.New("submodule is not part of the repository")
)

// treeFS is a directory of a commit. It implements fs.StatFS, fs.ReadDirFS, fs.ReadFileFS and
// fs.ReadLinkFS. Symbolic links are shown (fs.ModeSymlink) and can be read as links but are never
// followed; submodules are shown (fs.ModeDir|fs.ModeIrregular) but reading them is an error, so
// that they are never taken for empty directories.
type treeFS struct {
	db   *objects
	root plumbing.Hash
	when time.Time
}

var (
	_ fs.StatFS     = (*treeFS)(nil)
	_ fs.ReadDirFS  = (*treeFS)(nil)
	_ fs.ReadFileFS = (*treeFS)(nil)
	_ fs.ReadLinkFS = (*treeFS)(nil)
)

func (t *treeFS) find(op, name string) (info, error) {
	if !fs.ValidPath(name) {
		return info{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, err := lookup(t.db, t.root, name)
	if err != nil {
		return info{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return info{entry: e, fs: t}, nil
}

// Open reads a file whole; a directory is read when it is listed.
func (t *treeFS) Open(name string) (fs.File, error) {
	i, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	if i.IsDir() {
		list, err := t.list("open", name, i)
		if err != nil {
			return nil, err
		}
		return &dir{info: i, name: name, rest: list}, nil
	}
	data, err := t.read("open", name, i)
	if err != nil {
		return nil, err
	}
	return &file{info: i, Reader: bytes.NewReader(data)}, nil
}

// Stat never follows a link.
func (t *treeFS) Stat(name string) (fs.FileInfo, error) { return t.Lstat(name) }

func (t *treeFS) Lstat(name string) (fs.FileInfo, error) {
	i, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// ReadDir is sorted by name.
func (t *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	i, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !i.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return t.list("readdir", name, i)
}

// ReadFile refuses a file larger than Config.MaxFile.
func (t *treeFS) ReadFile(name string) ([]byte, error) {
	i, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	return t.read("read", name, i)
}

func (t *treeFS) ReadLink(name string) (string, error) {
	i, err := t.find("readlink", name)
	if err != nil {
		return "", err
	}
	if i.entry.mode != filemode.Symlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	target, err := t.db.blob(i.entry.hash)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(target), nil
}

func (t *treeFS) read(op, name string, i info) ([]byte, error) {
	switch {
	case i.IsDir():
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("is a directory")}
	case i.entry.mode == filemode.Symlink:
		return nil, &fs.PathError{Op: op, Path: name, Err: errSymlink}
	}
	data, err := t.db.blob(i.entry.hash)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return data, nil
}

func (t *treeFS) list(op, name string, i info) ([]fs.DirEntry, error) {
	if i.entry.mode == filemode.Submodule {
		return nil, &fs.PathError{Op: op, Path: name, Err: errSubmodule}
	}
	d, err := t.db.tree(i.entry.hash)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	list := make([]fs.DirEntry, len(d.entries))
	for n, e := range d.entries {
		list[n] = info{entry: e, fs: t}
	}
	return list, nil
}

// info is the fs.FileInfo and fs.DirEntry of an entry. Making one reads nothing; Size looks into
// the mirror when it is asked for.
type info struct {
	entry entry
	fs    *treeFS
}

func (i info) Name() string               { return i.entry.name }
func (i info) IsDir() bool                { return i.Mode().IsDir() }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }
func (i info) String() string             { return fs.FormatFileInfo(i) }

// ModTime is the time of the commit: git keeps no times of files.
func (i info) ModTime() time.Time { return i.fs.when }

// Sys has the method ContentID() string.
func (i info) Sys() any { return contentID(i.entry.hash) }

// Size is 0 for directories and for a file that cannot be read, whose reading then tells why.
func (i info) Size() int64 {
	if i.IsDir() {
		return 0
	}
	size, err := i.fs.db.blobSize(i.entry.hash)
	if err != nil {
		return 0
	}
	return size
}

func (i info) Mode() fs.FileMode {
	switch i.entry.mode {
	case filemode.Dir:
		return fs.ModeDir | 0o755
	case filemode.Submodule:
		return fs.ModeDir | fs.ModeIrregular | 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Executable:
		return 0o755
	}
	return 0o644
}

// contentID is the git hash of a file's or directory's content.
type contentID plumbing.Hash

// ContentID is equal for equal files and for directories with equal names, modes and content below.
func (c contentID) ContentID() string { return plumbing.Hash(c).String() }

type file struct {
	info info
	*bytes.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

type dir struct {
	info info
	name string
	rest []fs.DirEntry
}

func (d *dir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dir) Close() error               { return nil }

func (d *dir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		list := d.rest
		d.rest = nil
		return list, nil
	}
	if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n:n]
	d.rest = d.rest[n:]
	return list, nil
}
