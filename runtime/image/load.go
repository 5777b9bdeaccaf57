package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// loadPrefix begins the name of an archive that is on its way; hidden, so that nobody takes it up.
const loadPrefix = ".load-"

// Load takes the images of an archive (docker save or OCI layout as a tar, also compressed), and keeps
// it in the archive folder, where it needs no registry and is never removed. What is loaded goes before
// other archives of its names. It gives the names. On an error everything is as before.
func (s *Store) Load(ctx context.Context, in io.Reader) ([]string, error) {
	if s.archives == "" {
		return nil, fmt.Errorf("load images: this node has no folder of archives: %w", ErrStorage)
	}
	if _, err := s.archiveEntries(); err != nil { // makes it too
		return nil, fmt.Errorf("load images: %w", err)
	}
	f, err := os.CreateTemp(s.archives, loadPrefix)
	if err != nil {
		return nil, fmt.Errorf("load images: %w: %w", ErrStorage, err)
	}
	defer func() {
		f.Close()
		os.Remove(f.Name()) // not there any more when all went well
	}()
	if err := s.receive(ctx, f, in); err != nil {
		return nil, fmt.Errorf("load images: %w", err)
	}
	names, err := s.takeLoaded(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("load images: %w", err)
	}
	return names, nil
}

// receive writes the archive, unpacked where it is compressed, and writes it through.
func (s *Store) receive(ctx context.Context, f *os.File, in io.Reader) error {
	plain, done, err := decompress(&bounded{r: in, left: s.limits.image.bytes}, s.limits)
	if err != nil {
		return corrupt(ctx, err)
	}
	defer done()
	_, err = io.Copy(spared{f, &room{dir: s.archives}}, endsWith{ctx, &bounded{r: plain, left: s.limits.image.bytes}})
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return corrupt(ctx, err)
	}
	return nil
}

// spared is a file that is not written beyond what is left of the disk.
type spared struct {
	f    *os.File
	room *room
}

func (s spared) Write(p []byte) (int, error) {
	if err := s.room.take(int64(len(p))); err != nil {
		return 0, err
	}
	return s.f.Write(p)
}

// endsWith is a reader that ends with a context.
type endsWith struct {
	ctx context.Context
	r   io.Reader
}

func (e endsWith) Read(p []byte) (int, error) {
	if e.ctx.Err() != nil {
		return 0, context.Cause(e.ctx)
	}
	return e.r.Read(p)
}

// takeLoaded unpacks the images, gives the file its name and then makes the index name them. A crash in
// between leaves a file like one that was put down by hand.
func (s *Store) takeLoaded(ctx context.Context, f *os.File) ([]string, error) {
	members, err := openTar(f)
	if err != nil {
		return nil, err
	}
	taken, unpin, err := s.unpackArchive(ctx, members)
	defer unpin()
	if err != nil {
		return nil, err
	}
	s.scanning.Lock()
	defer s.scanning.Unlock()
	file := archiveName(taken.refs)
	if err := os.Rename(f.Name(), filepath.Join(s.archives, file)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	if err := s.keepArchive(file, archiveEntry{Identity: identify(st), Names: taken.names, Loaded: time.Now()}, taken); err != nil {
		return nil, err
	}
	s.mu.Lock()
	delete(s.refused, file)
	s.mu.Unlock()
	return taken.refs, nil
}

// archiveName is the same for the same names, so that loading them again replaces the file.
func archiveName(refs []string) string {
	clean := func(r rune) rune {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}
	first := strings.Map(clean, refs[0])
	sum := strings.TrimPrefix(digestOf([]byte(strings.Join(refs, "\n"))), "sha256:")
	return fmt.Sprintf("loaded-%s-%s.tar", first[:min(len(first), 150)], sum[:8])
}

// takenArchive is an archive whose layers are unpacked.
type takenArchive struct {
	refs    []string          // by tag, sorted
	names   map[string]target // these, and those by digest
	records map[string]record
}

// unpackArchive unpacks what an archive holds. The layers stay pinned until the returned function is
// called, which is never nil.
func (s *Store) unpackArchive(ctx context.Context, members files) (out takenArchive, unpin func(), err error) {
	var unpins []func()
	unpin = func() {
		for _, f := range unpins {
			f()
		}
	}
	images, err := readArchive(members, s.limits)
	if err != nil {
		return out, unpin, err
	}
	out = takenArchive{names: map[string]target{}, records: map[string]record{}}
	for _, img := range images {
		id, rec, done, err := s.take(ctx, img.bundle)
		unpins = append(unpins, done)
		if err != nil {
			return out, unpin, fmt.Errorf("%s: %w", img.names[0].full, err)
		}
		out.records[id] = rec
		for _, r := range img.names {
			addNames(out.names, r.full, r.repository, id, img.digests)
			out.refs = append(out.refs, r.full)
		}
	}
	slices.Sort(out.refs)
	out.refs = slices.Compact(out.refs)
	return out, unpin, nil
}

// keepArchive makes the index name what a file of the folder holds.
func (s *Store) keepArchive(file string, entry archiveEntry, taken takenArchive) error {
	err := s.update(func(x *index) {
		for id, r := range taken.records {
			x.put(id, r)
		}
		x.Archives[file] = entry
	})
	if err == nil {
		s.log.Info("image archive taken up", "file", file, "images", slices.Sorted(maps.Keys(entry.Names)))
	}
	return err
}

// clearLoads removes what a crash left of archives on their way.
func (s *Store) clearLoads() error {
	if s.archives == "" {
		return nil
	}
	entries, err := os.ReadDir(s.archives)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), loadPrefix) {
			errs = append(errs, os.Remove(filepath.Join(s.archives, e.Name())))
		}
	}
	return errors.Join(errs...)
}
