package loop

import (
	"context"
	"errors"
	"io/fs"
)

// errSuperseded ends the reading of a commit that a newer one came after.
var errSuperseded = errors.New("a newer commit came")

// revocable is a tree that cannot be read any more once its context has ended, so that whoever reads
// it, a renderer too, comes to an end soon. What was read from it then says nothing.
type revocable struct {
	ctx  context.Context // of the reading; fs.FS has no place for one
	tree fs.FS
}

func (r revocable) Open(name string) (fs.File, error) {
	if err := context.Cause(r.ctx); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return r.tree.Open(name)
}

func (r revocable) ReadFile(name string) ([]byte, error) {
	return ask(r, "read", name, fs.ReadFile)
}

func (r revocable) ReadDir(name string) ([]fs.DirEntry, error) {
	return ask(r, "list", name, fs.ReadDir)
}

func (r revocable) Stat(name string) (fs.FileInfo, error) { return ask(r, "stat", name, fs.Stat) }

func (r revocable) Lstat(name string) (fs.FileInfo, error) { return ask(r, "lstat", name, fs.Lstat) }

func (r revocable) ReadLink(name string) (string, error) {
	return ask(r, "readlink", name, fs.ReadLink)
}

func ask[T any](r revocable, op, name string, how func(fs.FS, string) (T, error)) (T, error) {
	if err := context.Cause(r.ctx); err != nil {
		var none T
		return none, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return how(r.tree, name)
}
