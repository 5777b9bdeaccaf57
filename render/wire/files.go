package wire

import (
	"errors"
	"fmt"
	"io/fs"
)

// Files is the child's view of the repository. Everything that was looked at is kept for the rest of
// the child's life, in which the repository does not change.
type Files struct {
	conn  *Conn
	known map[Ask]found
	used  map[Ask]bool
	order []Ask // of used
}

type found struct {
	answer Answer
	body   []byte
}

// NewFiles asks over a connection on which nobody else speaks meanwhile.
func NewFiles(conn *Conn) *Files { return &Files{conn: conn, known: make(map[Ask]found)} }

// Begin starts a job: what was used before is forgotten, what is known stays.
func (f *Files) Begin() { f.used, f.order = make(map[Ask]bool), nil }

// Used is every question of the job, in the order in which it came up first.
func (f *Files) Used() []Ask { return f.order }

// ask puts a question, once.
func (f *Files) ask(op Op, name string) (found, error) {
	q := Ask{op, name}
	if !f.used[q] {
		f.used[q] = true
		f.order = append(f.order, q)
	}
	if have, ok := f.known[q]; ok {
		return have, f.refused(have, name)
	}
	if err := f.conn.Send(Message{Ask: &q}, nil); err != nil {
		return found{}, err
	}
	m, body, err := f.conn.Receive()
	if err != nil {
		return found{}, err
	}
	if m.Answer == nil {
		return found{}, errors.New("the daemon did not answer a question")
	}
	have := found{*m.Answer, body}
	if op != Base || have.answer.Refused == "" { // what one job may not have fetched another one may
		f.known[q] = have
	}
	return have, f.refused(have, name)
}

func (f *Files) refused(have found, name string) error {
	if have.answer.Refused != "" {
		return fmt.Errorf("%s: %s", name, have.answer.Refused)
	}
	return nil
}

// Kind tells what is at a path, and where it is once links are followed.
func (f *Files) Kind(name string) (Kind, string, error) {
	have, err := f.ask(Stat, name)
	return have.answer.Kind, have.answer.Path, err
}

// Base is the folder of a remote base, below which everything of it is found, by its name in a
// kustomization. The error is the reason alone.
func (f *Files) Base(name string) (string, error) {
	have, err := f.ask(Base, name)
	switch {
	case have.answer.Refused != "":
		return "", errors.New(have.answer.Refused)
	case err == nil && (have.answer.Kind != Folder || BaseRoot(have.answer.Path) == ""):
		err = errors.New("the daemon did not say where a base is")
	}
	return have.answer.Path, err
}

// Read is the content of a file, which the caller must not change. The error wraps fs.ErrNotExist if
// there is none.
func (f *Files) Read(name string) ([]byte, error) {
	have, err := f.ask(Read, name)
	if err != nil {
		return nil, err
	}
	if have.answer.Kind != File {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return have.body, nil
}

// List is what a folder holds. The error wraps fs.ErrNotExist if there is no such folder.
func (f *Files) List(name string) ([]Entry, error) {
	have, err := f.ask(List, name)
	if err != nil {
		return nil, err
	}
	if have.answer.Kind != Folder {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
	}
	return have.answer.Entries, nil
}
