package render

import (
	"errors"
	"io"
	"io/fs"
	"strings"

	"writ/manifest"
	"writ/render/wire"
)

// maxFile bounds a file that a child may read, in bytes.
const maxFile = 8 << 20

// server answers a child's questions about the repository.
type server struct {
	fsys      fs.FS
	decrypter manifest.Decrypter
	unit      manifest.Unit
	secrets   secrets           // of the unit
	away      error             // what the unit needs cannot be got now: keys, or a remote base
	fetched   int               // remote bases of the unit that were asked for
	held      int64             // bytes of those that the units before had not
	archives  map[string][]byte // fetched charts, by the paths that the child asks for
	bases     map[string]fs.FS  // remote bases, by the virtual folders that are their roots
}

func newServer(fsys fs.FS, d manifest.Decrypter) *server {
	return &server{fsys: fsys, decrypter: d, archives: make(map[string][]byte), bases: make(map[string]fs.FS)}
}

// begin tells which unit the next questions are for.
func (s *server) begin(unit manifest.Unit) {
	s.unit, s.secrets, s.away, s.fetched, s.held = unit, secrets{}, nil, 0, 0
}

// answer never fails: what cannot be read is refused with the reason.
func (s *server) answer(ask wire.Ask) (wire.Answer, []byte) {
	if data, fetched := s.archives[ask.Path]; fetched {
		return wire.Answer{Kind: wire.File, Path: ask.Path}, data
	}
	if root := wire.BaseRoot(ask.Path); root != "" {
		return s.answerFromBase(root, ask)
	}
	if !fs.ValidPath(ask.Path) {
		return wire.Answer{Refused: "leads out of the repository"}, nil
	}
	answer, data := look(s.fsys, ask)
	if data != nil {
		return s.clear(ask, data)
	}
	return answer, nil
}

// look answers from a file system. data is nil unless a file was read.
func look(fsys fs.FS, ask wire.Ask) (answer wire.Answer, data []byte) {
	info, err := fs.Stat(fsys, ask.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wire.Answer{}, nil
	case err != nil:
		return wire.Answer{Refused: reason(err)}, nil
	case info.IsDir():
		return folder(fsys, ask), nil
	case !info.Mode().IsRegular():
		return wire.Answer{Refused: "is no regular file"}, nil
	case ask.Op == wire.Read:
		if data, err = content(fsys, ask.Path); err != nil {
			return wire.Answer{Refused: reason(err)}, nil
		}
	}
	return wire.Answer{Kind: wire.File, Path: ask.Path}, data
}

// reason is why a path cannot be read, which is told with the path.
func reason(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	if strings.Contains(err.Error(), "path escapes") { // an os.Root has no error value for it
		return "leads out of the repository"
	}
	return err.Error()
}

func folder(fsys fs.FS, ask wire.Ask) wire.Answer {
	a := wire.Answer{Kind: wire.Folder, Path: ask.Path}
	if ask.Op != wire.List {
		return a
	}
	entries, err := fs.ReadDir(fsys, ask.Path)
	if err != nil {
		return wire.Answer{Refused: reason(err)}
	}
	for _, e := range entries {
		a.Entries = append(a.Entries, wire.Entry{Name: e.Name(), Folder: e.IsDir()})
	}
	return a
}

// content reads a file of bounded size; an empty one is not nil.
func content(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("is larger than 8 MiB")
	}
	return data, err
}
