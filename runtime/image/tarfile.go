package image

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// mostMembers and mostMemberName, in bytes, bound the table of an archive's members.
const mostMembers, mostMemberName = 100_000, 1024

// tarFiles reads members of an uncompressed tar where they lie, without unpacking it.
type tarFiles struct {
	f       *os.File
	members map[string]section
	links   map[string]string // older docker save wrote a layer it already had as a link
}

type section struct{ offset, size int64 }

// openTar lists the members once. It takes no ownership of f, which must stay open
// while members are read.
func openTar(f *os.File) (*tarFiles, error) {
	t := &tarFiles{f: f, members: map[string]section{}, links: map[string]string{}}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	tr := tar.NewReader(f)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w: %w", ErrCorrupt, err)
		}
		if n == mostMembers {
			return nil, fmt.Errorf("read archive: %w: more than %d members", ErrCorrupt, mostMembers)
		}
		if max(len(h.Name), len(h.Linkname)) > mostMemberName {
			return nil, fmt.Errorf("read archive: %w: the name of a member is longer than %d bytes", ErrCorrupt, mostMemberName)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			// The reader takes whole headers only, so the file stands at the content.
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, fmt.Errorf("read archive: %w", err)
			}
			t.members[name] = section{offset: at, size: h.Size}
		case tar.TypeSymlink:
			t.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			t.links[name] = path.Clean(h.Linkname)
		}
	}
}

func (t *tarFiles) member(name string) (io.ReadCloser, int64, error) {
	s, ok := t.members[name]
	if !ok {
		s, ok = t.members[t.links[name]]
	}
	if !ok {
		return nil, 0, fmt.Errorf("member %s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(t.f, s.offset, s.size)), s.size, nil
}

// dirFiles reads a layout that lies unpacked in a folder, never outside of it.
type dirFiles struct{ root *os.Root }

func (d dirFiles) member(name string) (io.ReadCloser, int64, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("member %s: %w: not a regular file", name, ErrCorrupt)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}
