package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Archive is one entry of the archive folder, for people to look at.
type Archive struct {
	File string
	Refs []string // sorted
	// Err says why the entry was not taken up. Refs then are those of the file that
	// was there before, if there was one.
	Err error
}

// Archives lists the entries that were taken up or refused, by file name. The error
// says why the folder as a whole is refused.
func (s *Store) Archives() ([]Archive, error) {
	x := s.current.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Archive{}
	for file, a := range x.Archives {
		all[file] = Archive{File: file, Refs: slices.Sorted(maps.Keys(a.Names))}
	}
	for file, err := range s.refused {
		a := all[file]
		a.File, a.Err = file, err
		all[file] = a
	}
	var out []Archive
	for _, file := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[file])
	}
	return out, s.folder
}

// LoadArchives looks at the folder once, takes up what is new or changed, and
// forgets the names that came from files which are gone. It returns whether a file
// is still being written, so that it must look again, and an error only if the
// folder itself is refused; trouble with one file is logged and kept for Archives.
func (s *Store) LoadArchives(ctx context.Context) (again bool, err error) {
	if s.archives == "" {
		return false, nil
	}
	s.scanning.Lock()
	defer s.scanning.Unlock()
	entries, err := s.archiveEntries()
	s.mu.Lock()
	s.folder = err
	s.mu.Unlock()
	if err != nil {
		return false, err
	}
	for _, name := range entries {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		err := s.loadArchive(ctx, name)
		if errors.Is(err, errBeingWritten) {
			again = true
			continue
		}
		s.noteArchive(ctx, name, err)
	}
	return again, s.forgetArchives(entries)
}

// noteArchive keeps, and logs once, why a file was not taken up.
func (s *Store) noteArchive(ctx context.Context, name string, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.refused[name]
	if err == nil {
		delete(s.refused, name)
		return
	}
	s.refused[name] = err
	if old == nil || old.Error() != err.Error() {
		s.log.Warn("image archive refused", "file", name, "err", err)
	}
}

// archiveEntries checks that only the administrator can put files into the folder.
func (s *Store) archiveEntries() ([]string, error) {
	st, err := os.Lstat(s.archives)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(s.archives, 0o700); err != nil {
			return nil, fmt.Errorf("make archive folder: %w", err)
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at archive folder: %w", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("archive folder %s is refused: it is not a folder", s.archives)
	}
	if err := trusted(st); err != nil {
		return nil, fmt.Errorf("archive folder %s is refused: %w", s.archives, err)
	}
	entries, err := os.ReadDir(s.archives)
	if err != nil {
		return nil, fmt.Errorf("look at archive folder: %w", err)
	}
	var out []string
	for _, e := range entries {
		if isArchiveName(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// isArchiveName passes over hidden files: copying tools use them for what is unfinished.
func isArchiveName(name string) bool {
	return strings.HasSuffix(name, ".tar") && !strings.HasPrefix(name, ".")
}

// trusted wants the owner to be root, or who runs this, and nobody else to write.
func trusted(st fs.FileInfo) error {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner is unknown")
	}
	if sys.Uid != 0 && int(sys.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d, want root", sys.Uid)
	}
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("its mode is %04o, want no writing by group or others", st.Mode().Perm())
	}
	return nil
}

// forgetArchives drops the names of files that are gone. Images stay until Reclaim.
func (s *Store) forgetArchives(there []string) error {
	s.mu.Lock()
	maps.DeleteFunc(s.refused, func(file string, _ error) bool { return !slices.Contains(there, file) })
	s.mu.Unlock()
	var gone []string
	for file := range s.current.Load().Archives {
		if !slices.Contains(there, file) {
			gone = append(gone, file)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	s.log.Info("image archives are gone", "files", gone)
	return s.update(func(x *index) {
		for _, file := range gone {
			delete(x.Archives, file)
		}
	})
}

// errBeingWritten: somebody has the file open for writing.
var errBeingWritten = errors.New("it is still being written")

// loadArchive takes one file up if it is not the one that was.
func (s *Store) loadArchive(ctx context.Context, name string) error {
	f, err := os.OpenFile(filepath.Join(s.archives, name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open archive: %w", err)
	}
	if err := trusted(st); err != nil {
		return fmt.Errorf("archive is refused: %w", err)
	}
	id := identify(st)
	if old, ok := s.current.Load().Archives[name]; ok && old.Identity == id {
		return nil
	}
	members, done, err := s.open(f, st)
	if err != nil {
		return err
	}
	defer done()
	return s.takeArchive(ctx, name, id, members)
}

func (s *Store) open(f *os.File, st fs.FileInfo) (files, func(), error) {
	if st.IsDir() {
		root, err := os.OpenRoot(f.Name())
		if err != nil {
			return nil, nil, fmt.Errorf("open archive: %w", err)
		}
		return dirFiles{root}, func() { root.Close() }, nil
	}
	if !st.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%w: neither a file nor a folder", ErrCorrupt)
	}
	if beingWritten(f) {
		return nil, nil, errBeingWritten
	}
	t, err := openTar(f)
	return t, func() {}, err
}

func (s *Store) takeArchive(ctx context.Context, name string, id fileIdentity, members files) error {
	taken, unpin, err := s.unpackArchive(ctx, members)
	defer unpin()
	if err != nil {
		return err
	}
	return s.keepArchive(name, archiveEntry{Identity: id, Names: taken.names}, taken)
}

func identify(st fs.FileInfo) fileIdentity {
	id := fileIdentity{Size: st.Size(), Modified: st.ModTime().UnixNano()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		id.Inode = sys.Ino
	}
	return id
}

// beingWritten asks for a read lease, which the kernel grants only while nobody has
// the file open for writing (fcntl(2), F_SETLEASE), and gives it back at once. Where
// leases are not to be had, the file is taken as finished: its digests are checked
// in any case.
func beingWritten(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}
