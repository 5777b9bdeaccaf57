package sync

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

var errSubmodule = errors.New("submodule is not part of the repository")

// treeFS is a folder of a commit. It implements fs.StatFS, fs.ReadDirFS, fs.ReadFileFS and
// fs.ReadLinkFS. Directories list symbolic links as such (fs.ModeSymlink); every method but Lstat and
// ReadLink follows them, also out of the folder, never out of the repository: then, and where a link
// loops or leads nowhere, the error is a *LinkError. Submodules are listed
// (fs.ModeDir|fs.ModeIrregular) but reading them is an error, so that they are never taken for empty
// directories.
type treeFS struct {
	db   *objects
	root plumbing.Hash // of the repository
	at   string        // the folder, from the root of the repository, without links
	when time.Time

	mu  sync.Mutex
	ids map[string]string // of folders; see identify
}

var (
	_ fs.StatFS     = (*treeFS)(nil)
	_ fs.ReadDirFS  = (*treeFS)(nil)
	_ fs.ReadFileFS = (*treeFS)(nil)
	_ fs.ReadLinkFS = (*treeFS)(nil)
)

func (t *treeFS) find(op, name string, follow bool) (info, error) {
	if !fs.ValidPath(name) {
		return info{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at, err := locate(t.db, t.root, t.at, name, follow)
	if err != nil {
		return info{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	at.name = path.Base(name)
	return info{place: at, fs: t}, nil
}

// Open reads a file whole; a directory is read when it is listed.
func (t *treeFS) Open(name string) (fs.File, error) {
	i, err := t.find("open", name, true)
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

// Stat is about what a link leads to.
func (t *treeFS) Stat(name string) (fs.FileInfo, error) { return t.stat("stat", name, true) }

// Lstat is about a link itself.
func (t *treeFS) Lstat(name string) (fs.FileInfo, error) { return t.stat("lstat", name, false) }

func (t *treeFS) stat(op, name string, follow bool) (fs.FileInfo, error) {
	i, err := t.find(op, name, follow)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// ReadDir is sorted by name.
func (t *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	i, err := t.find("readdir", name, true)
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
	i, err := t.find("read", name, true)
	if err != nil {
		return nil, err
	}
	return t.read("read", name, i)
}

func (t *treeFS) ReadLink(name string) (string, error) {
	i, err := t.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if i.mode != filemode.Symlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	target, err := t.db.blob(i.hash)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(target), nil
}

func (t *treeFS) read(op, name string, i info) ([]byte, error) {
	if i.IsDir() {
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("is a directory")}
	}
	data, err := t.db.blob(i.hash)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return data, nil
}

func (t *treeFS) list(op, name string, i info) ([]fs.DirEntry, error) {
	if i.mode == filemode.Submodule {
		return nil, &fs.PathError{Op: op, Path: name, Err: errSubmodule}
	}
	d, err := t.db.tree(i.hash)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	list := make([]fs.DirEntry, len(d.entries))
	for n, e := range d.entries {
		list[n] = info{place: place{path.Join(i.path, e.name), e}, fs: t}
	}
	return list, nil
}

// info is the fs.FileInfo and fs.DirEntry of an entry. Making one reads nothing; Size looks into
// the mirror when it is asked for.
type info struct {
	place
	fs *treeFS
}

func (i info) Name() string               { return i.name }
func (i info) IsDir() bool                { return i.Mode().IsDir() }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }
func (i info) String() string             { return fs.FormatFileInfo(i) }

// ModTime is the time of the commit: git keeps no times of files.
func (i info) ModTime() time.Time { return i.fs.when }

// Sys has the method ContentID() string, but for a link and a folder that cannot be read.
func (i info) Sys() any {
	switch i.mode {
	case filemode.Symlink:
		return nil
	case filemode.Dir:
		id, err := i.fs.identify(i.place)
		if err != nil {
			return nil
		}
		return contentID(id)
	}
	return contentID(i.hash.String())
}

// Size is 0 for directories and for a file that cannot be read, whose reading then tells why.
func (i info) Size() int64 {
	if i.IsDir() {
		return 0
	}
	size, err := i.fs.db.blobSize(i.hash)
	if err != nil {
		return 0
	}
	return size
}

func (i info) Mode() fs.FileMode {
	switch i.mode {
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

// contentID is the git hash of a file's content, or the identity of a directory.
type contentID string

// ContentID is equal for equal files and for directories with equal names, modes and content below,
// also behind links.
func (c contentID) ContentID() string { return string(c) }

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
