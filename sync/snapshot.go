package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	maxSnapshot      = 500_000 // files and folders
	maxHashedFile    = 8 << 20 // bytes; larger files are told apart without reading them
	maxIgnoreFile    = 1 << 20
	maxSnapshotDepth = 200
)

// snapshot is a folder on disk in the form of git's objects: its directories and links are kept, its
// files are named by their hash and read where they lie when somebody asks.
type snapshot struct {
	root    *os.Root
	index   map[string]filemode.FileMode // tracked files, nil for a folder without git
	tracked map[string]bool              // folders that hold tracked files
	trees   map[plumbing.Hash]plumbing.EncodedObject
	files   map[plumbing.Hash]content
	count   int
}

// content is where a file lies.
type content struct {
	path string
	size int64
}

// take reads a folder and what is below it. hidden is the rules of git's that hold in it.
func (s *snapshot) take(ctx context.Context, name string, hidden []gitignore.Pattern, depth int) (plumbing.Hash, error) {
	if err := ctx.Err(); err != nil {
		return plumbing.ZeroHash, err
	}
	if depth > maxSnapshotDepth {
		return plumbing.ZeroHash, fmt.Errorf("read %s: %w", name, errTooDeep)
	}
	entries, err := fs.ReadDir(s.root.FS(), name)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read %s: %w", name, unwrapPath(err))
	}
	if s.index != nil {
		hidden = s.rules(name, hidden)
	}
	t := &object.Tree{}
	for _, e := range entries {
		if s.count++; s.count > maxSnapshot {
			return plumbing.ZeroHash, fmt.Errorf("the folder holds more than %d files", maxSnapshot)
		}
		entry, err := s.entry(ctx, path.Join(name, e.Name()), e, hidden, depth)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if !entry.Hash.IsZero() {
			t.Entries = append(t.Entries, entry)
		}
	}
	sort.Sort(object.TreeEntrySorter(t.Entries))
	made := &plumbing.MemoryObject{}
	if err := t.Encode(made); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read %s: %w", name, err)
	}
	s.trees[made.Hash()] = made
	return made.Hash(), nil
}

// entry is one name in a folder as a commit would hold it; its hash is zero if a commit would not.
func (s *snapshot) entry(ctx context.Context, name string, e fs.DirEntry, hidden []gitignore.Pattern, depth int) (object.TreeEntry, error) {
	out := object.TreeEntry{Name: e.Name()}
	if e.Name() == ".git" || s.ignores(name, e.IsDir(), hidden) {
		return out, nil
	}
	var err error
	switch mode := e.Type(); {
	case s.index[name] == filemode.Submodule, mode.IsDir() && s.index != nil && s.embedded(name):
		out.Mode, out.Hash = filemode.Submodule, plumbing.ComputeHash(plumbing.CommitObject, []byte(name))
	case mode.IsDir():
		out.Mode = filemode.Dir
		out.Hash, err = s.take(ctx, name, hidden, depth+1)
	case mode&fs.ModeSymlink != 0:
		out.Mode = filemode.Symlink
		out.Hash, err = s.link(name)
	case mode.IsRegular():
		out.Mode = filemode.Regular
		out.Hash, err = s.file(name, e)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return object.TreeEntry{Name: e.Name()}, nil // it went while the folder was read
	}
	return out, err
}

// ignores tells whether git would leave a name out of a commit: it is ignored, and neither it nor
// anything below it is tracked.
func (s *snapshot) ignores(name string, isDir bool, hidden []gitignore.Pattern) bool {
	if _, tracked := s.index[name]; tracked || s.tracked[name] || len(hidden) == 0 {
		return false
	}
	return gitignore.NewMatcher(hidden).Match(strings.Split(name, "/"), isDir)
}

// embedded tells whether a folder is a repository of its own, which git adds as a submodule.
func (s *snapshot) embedded(name string) bool {
	_, err := s.root.Lstat(path.Join(name, ".git"))
	return err == nil && !s.tracked[name]
}

// rules are those from above and those of the folder's own .gitignore.
func (s *snapshot) rules(name string, above []gitignore.Pattern) []gitignore.Pattern {
	own := s.patterns(path.Join(name, ".gitignore"), steps(name))
	return append(above[:len(above):len(above)], own...)
}

// patterns reads a file of rules; one that cannot be read has none, as for git.
func (s *snapshot) patterns(name string, folder []string) []gitignore.Pattern {
	if info, err := s.root.Lstat(name); err != nil || !info.Mode().IsRegular() || info.Size() > maxIgnoreFile {
		return nil
	}
	data, err := s.root.ReadFile(name)
	if err != nil {
		return nil
	}
	return ignoreRules(data, folder)
}

func ignoreRules(data []byte, folder []string) []gitignore.Pattern {
	var rules []gitignore.Pattern
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			rules = append(rules, gitignore.ParsePattern(line, folder))
		}
	}
	return rules
}

func (s *snapshot) link(name string) (plumbing.Hash, error) {
	target, err := s.root.Readlink(name)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read link %s: %w", name, unwrapPath(err))
	}
	made := &plumbing.MemoryObject{}
	made.SetType(plumbing.BlobObject)
	if _, err := made.Write([]byte(filepath.ToSlash(target))); err != nil {
		return plumbing.ZeroHash, err
	}
	s.trees[made.Hash()] = made
	return made.Hash(), nil
}

// file names a file by git's hash. Without git nothing is compared by content, and files are told apart
// by where they lie; so are those that are too large to be read for it.
func (s *snapshot) file(name string, e fs.DirEntry) (plumbing.Hash, error) {
	info, err := e.Info()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	var h plumbing.Hash
	if s.index == nil || info.Size() > maxHashedFile {
		h = plumbing.ComputeHash(plumbing.AnyObject, []byte(fmt.Sprintf("%s %d %s", name, info.Size(), info.ModTime())))
	} else {
		data, err := s.root.ReadFile(name)
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read %s: %w", name, unwrapPath(err))
		}
		h = plumbing.ComputeHash(plumbing.BlobObject, data)
	}
	s.files[h] = content{name, info.Size()}
	return h, nil
}

// EncodedObject reads a file where it lies.
func (s *snapshot) EncodedObject(_ plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	if o, ok := s.trees[h]; ok {
		return o, nil
	}
	at, ok := s.files[h]
	if !ok {
		return nil, plumbing.ErrObjectNotFound
	}
	f, err := s.root.Open(at.path)
	if err != nil {
		return nil, unwrapPath(err)
	}
	defer f.Close()
	made := &plumbing.MemoryObject{}
	made.SetType(plumbing.BlobObject)
	if _, err := io.Copy(made, io.LimitReader(f, at.size)); err != nil {
		return nil, err
	}
	return made, nil
}

func (s *snapshot) size(h plumbing.Hash) (int64, error) {
	if o, ok := s.trees[h]; ok {
		return o.Size(), nil
	}
	if at, ok := s.files[h]; ok {
		return at.size, nil
	}
	return 0, plumbing.ErrObjectNotFound
}
