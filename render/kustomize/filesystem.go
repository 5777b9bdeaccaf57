package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"writ/render/wire"
)

// errReadOnly is the answer to everything that would change the repository.
var errReadOnly = errors.New("a repository is only read")

// errOutside is the answer to what lies neither in the repository nor in a remote base.
var errOutside = errors.New("leads out of the repository")

// fileSystem shows the repository and remote bases to kustomize.
type fileSystem struct {
	files   *wire.Files
	view    view
	root    string                                // folder of the kustomization that is built
	trace   func(name string, data []byte)        // told of every kustomization file that is read
	rewrite func(name string, data []byte) []byte // what kustomize reads of it

	origins bool // let kustomize note where each resource comes from
}

func (f *fileSystem) kind(name string) wire.Kind {
	below, ok := f.view.below(name)
	if !ok {
		return wire.Absent
	}
	kind, _, err := f.files.Kind(below)
	if err != nil {
		return wire.Absent
	}
	return kind
}

func (f *fileSystem) IsDir(name string) bool  { return f.kind(name) == wire.Folder }
func (f *fileSystem) Exists(name string) bool { return f.kind(name) != wire.Absent }

// CleanedAbs is where a path leads once links are followed.
func (f *fileSystem) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	below, ok := f.view.below(name)
	if !ok {
		return "", "", errOutside
	}
	kind, real, err := f.files.Kind(below)
	switch {
	case err != nil:
		return "", "", err
	case kind == wire.Folder:
		return filesys.ConfirmedDir(f.view.of(real)), "", nil
	case kind == wire.File:
		dir, file := path.Split(f.view.of(real))
		return filesys.ConfirmedDir(path.Clean(dir)), file, nil
	}
	return "", "", fmt.Errorf("%s: %w", below, fs.ErrNotExist)
}

func (f *fileSystem) ReadDir(name string) ([]string, error) {
	below, ok := f.view.below(name)
	if !ok {
		return nil, errOutside
	}
	entries, err := f.files.List(below)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return names, err
}

func (f *fileSystem) ReadFile(name string) ([]byte, error) {
	below, ok := f.view.below(name)
	if !ok {
		return nil, errOutside
	}
	data, err := f.files.Read(below)
	if err != nil {
		return nil, err
	}
	if isKustomization(path.Base(below)) {
		f.trace(below, data)
		data = f.rewrite(below, data)
		if path.Dir(below) == path.Clean(f.root) && f.origins {
			return withOrigins(data), nil
		}
	}
	return bytes.Clone(data), nil
}

func (f *fileSystem) Open(name string) (filesys.File, error) {
	data, err := f.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &file{Reader: bytes.NewReader(data), name: path.Base(name), size: int64(len(data))}, nil
}

// Glob follows filepath.Glob, one folder level for each part of the pattern.
func (f *fileSystem) Glob(pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, err
	}
	matches := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+pattern), "/"), "/") {
		var next []string
		for _, dir := range matches {
			next = append(next, f.globIn(dir, part)...)
		}
		matches = next
	}
	return matches, nil
}

func (f *fileSystem) globIn(dir, part string) []string {
	if !strings.ContainsAny(part, `*?[\`) {
		if name := path.Join(dir, part); f.Exists(name) {
			return []string{name}
		}
		return nil
	}
	names, err := f.ReadDir(dir)
	if err != nil {
		return nil
	}
	var matches []string
	for _, name := range names {
		if ok, _ := path.Match(part, name); ok {
			matches = append(matches, path.Join(dir, name))
		}
	}
	return matches
}

// Walk is not used by what is allowed; plugins that search folders are refused.
func (f *fileSystem) Walk(string, filepath.WalkFunc) error { return errReadOnly }
func (f *fileSystem) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (f *fileSystem) Mkdir(string) error                   { return errReadOnly }
func (f *fileSystem) MkdirAll(string) error                { return errReadOnly }
func (f *fileSystem) RemoveAll(string) error               { return errReadOnly }
func (f *fileSystem) WriteFile(string, []byte) error       { return errReadOnly }

// file is an open file.
type file struct {
	*bytes.Reader
	name string
	size int64
}

func (f *file) Close() error               { return nil }
func (f *file) Write([]byte) (int, error)  { return 0, errReadOnly }
func (f *file) Stat() (os.FileInfo, error) { return wire.Info{Base: f.name, Bytes: f.size}, nil }
