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
	archives  map[string][]byte // fetched charts, by the paths that the child asks for
}

func newServer(fsys fs.FS, d manifest.Decrypter) *server {
	return &server{fsys: fsys, decrypter: d, archives: make(map[string][]byte)}
}

// begin tells which unit the next questions are for.
func (s *server) begin(unit manifest.Unit) { s.unit, s.secrets = unit, secrets{} }

// answer never fails: what cannot be read is refused with the reason.
func (s *server) answer(ask wire.Ask) (wire.Answer, []byte) {
	if data, fetched := s.archives[ask.Path]; fetched {
		return wire.Answer{Kind: wire.File, Path: ask.Path}, data
	}
	if !fs.ValidPath(ask.Path) {
		return wire.Answer{Refused: "leads out of the repository"}, nil
	}
	info, err := fs.Stat(s.fsys, ask.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wire.Answer{}, nil
	case err != nil:
		return wire.Answer{Refused: reason(err)}, nil
	case info.IsDir():
		return s.folder(ask)
	case !info.Mode().IsRegular():
		return wire.Answer{Refused: "is no regular file"}, nil
	case ask.Op == wire.Read:
		return s.read(ask)
	}
	return wire.Answer{Kind: wire.File, Path: ask.Path}, nil
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

func (s *server) folder(ask wire.Ask) (wire.Answer, []byte) {
	a := wire.Answer{Kind: wire.Folder, Path: ask.Path}
	if ask.Op != wire.List {
		return a, nil
	}
	entries, err := fs.ReadDir(s.fsys, ask.Path)
	if err != nil {
		return wire.Answer{Refused: reason(err)}, nil
	}
	for _, e := range entries {
		a.Entries = append(a.Entries, wire.Entry{Name: e.Name(), Folder: e.IsDir()})
	}
	return a, nil
}

func (s *server) read(ask wire.Ask) (wire.Answer, []byte) {
	data, err := s.content(ask.Path)
	if err != nil {
		return wire.Answer{Refused: reason(err)}, nil
	}
	return s.clear(ask, data)
}

// content reads a file of bounded size.
func (s *server) content(name string) ([]byte, error) {
	f, err := s.fsys.Open(name)
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
