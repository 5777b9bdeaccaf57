package sync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	gitconfig "github.com/go-git/go-git/v5/plumbing/format/config"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// local is a repository on this machine, bare or not, read in its own format without git. What a
// commit needs is copied into the mirror, because the repository may be repacked, rewritten or
// removed while the commit is in force.
type local struct {
	cfg     Config
	src     source
	watcher *watcher // nil while nobody watches
}

func (l *local) fetch(ctx context.Context, db *objects, known plumbing.Hash) (target, error) {
	repo, err := l.find()
	if err != nil {
		return target{}, err
	}
	if err := repo.supported(); err != nil {
		return target{}, err
	}
	st := repo.open()
	defer st.Close()
	t, err := repo.resolve(st, l.cfg.Ref, l.src)
	if err != nil {
		return target{}, err
	}
	if t.hash == known {
		return t, nil
	}
	odb := newObjectReader(repo.common, st)
	defer odb.Close()
	commit, err := peel(odb, t.hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return t, problemf(RefMissing, "%s has no commit %s", l.src, t.hash)
	}
	if err != nil {
		return t, err
	}
	t.hash = commit.Hash
	if t.hash == known {
		return t, nil
	}
	if err := copyCommit(ctx, odb, db, commit, l.cfg.MaxObject); err != nil {
		return t, fmt.Errorf("copy commit %s: %w", t.hash, err)
	}
	return t, nil
}

// trees reads the repository itself.
func (l *local) trees(*objects) (objectSource, func(), error) {
	repo, err := findRepository(l.src.path)
	if err != nil {
		return nil, nil, err
	}
	st := repo.open()
	odb := newObjectReader(repo.common, st)
	return &modest{odb, l.cfg.MaxObject}, func() {
		odb.Close()
		_ = st.Close()
	}, nil
}

// find finds the repository and watches it. What is read after this is watched: a change is seen by
// reading or noticed by watching.
func (l *local) find() (repository, error) {
	repo, err := findRepository(l.src.path)
	for range 3 {
		if l.watcher == nil {
			break
		}
		if err := l.watcher.follow(repo.watched(l.src.path, l.cfg.Ref)); err != nil {
			l.watcher.log.Warn("repository is polled because it cannot be watched", "err", err)
			l.watcher = nil
			break
		}
		before := repo
		if repo, err = findRepository(l.src.path); repo == before {
			break // it did not come, go or change while the watch was set up
		}
	}
	return repo, err
}

// repository is where the parts of a local repository lie. A linked work tree has a folder of its
// own for HEAD; references and objects are in the common one. Zero where nothing was found.
type repository struct{ git, common string }

// findRepository understands a bare repository, a work tree with a .git folder, and one with a .git
// file (a linked work tree or a submodule).
func findRepository(dir string) (repository, error) {
	if _, err := os.Stat(dir); err != nil {
		return repository{}, &problem{Unreachable, "there is no repository at " + dir, unwrapPath(err)}
	}
	git := dir
	if info, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		git = filepath.Join(dir, ".git")
		if !info.IsDir() {
			if git, err = readLink(git, "gitdir: ", dir); err != nil {
				return repository{}, err
			}
		}
	}
	if _, err := os.Stat(filepath.Join(git, "HEAD")); err != nil {
		return repository{}, problemf(NotFound, "%s is not a git repository", dir)
	}
	repo := repository{git: git, common: git}
	if _, err := os.Stat(filepath.Join(git, "commondir")); err == nil {
		if repo.common, err = readLink(filepath.Join(git, "commondir"), "", git); err != nil {
			return repository{}, err
		}
	}
	return repo, nil
}

// readLink reads a file that holds a path, relative to base.
func readLink(file, prefix, base string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	link, ok := strings.CutPrefix(strings.TrimSpace(string(text)), prefix)
	if !ok || link == "" {
		return "", problemf(NotFound, "%s does not name a repository", file)
	}
	if !filepath.IsAbs(link) {
		link = filepath.Join(base, link)
	}
	return filepath.Clean(link), nil
}

func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// supported refuses, by name, the formats that would be misread.
func (r repository) supported() error {
	f, err := os.Open(filepath.Join(r.common, "config"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	conf := gitconfig.New()
	if err := gitconfig.NewDecoder(f).Decode(conf); err != nil {
		return fmt.Errorf("read %s: %w", f.Name(), err)
	}
	ext := conf.Section("extensions")
	if format := ext.Option("objectFormat"); format != "" && !strings.EqualFold(format, "sha1") {
		return problemf(Unsupported, "%s uses %s object names; only SHA-1 repositories can be followed", r.common, format)
	}
	if refs := ext.Option("refStorage"); refs != "" && !strings.EqualFold(refs, "files") {
		return problemf(Unsupported, "%s keeps its references as %s; convert it with `git refs migrate --ref-format=files`", r.common, refs)
	}
	switch v := conf.Section("core").Option("repositoryformatversion"); v {
	case "", "0", "1":
		return nil
	default:
		return problemf(Unsupported, "%s has repository format %s, which is not known", r.common, v)
	}
}

func (r repository) open() *filesystem.Storage {
	return filesystem.NewStorageWithOptions(
		dotgit.NewRepositoryFilesystem(osfs.New(r.git), osfs.New(r.common)),
		cache.NewObjectLRU(objectCache), filesystem.Options{MaxOpenDescriptors: 16})
}

// resolve finds the followed reference.
func (r repository) resolve(st *filesystem.Storage, ref string, from source) (target, error) {
	if plumbing.IsHash(ref) {
		return target{hash: plumbing.NewHash(ref)}, nil
	}
	names := candidates(ref)
	if ref == "" {
		names = []string{"HEAD"}
	}
	for _, name := range names {
		found, err := storer.ResolveReference(st, plumbing.ReferenceName(name))
		if errors.Is(err, plumbing.ErrReferenceNotFound) {
			continue
		}
		if err != nil {
			return target{}, fmt.Errorf("read %s: %w", name, err)
		}
		return target{name: found.Name().String(), hash: found.Hash()}, nil
	}
	refs, err := st.IterReferences()
	if err != nil {
		return target{}, fmt.Errorf("list references: %w", err)
	}
	defer refs.Close()
	for {
		some, err := refs.Next()
		if err != nil {
			return target{}, transport.ErrEmptyRemoteRepository
		}
		if some.Type() == plumbing.HashReference {
			return target{}, missingRef(from, ref)
		}
	}
}

// watched lists the files whose change may move the followed reference.
func (r repository) watched(path, ref string) []string {
	if r.git == "" {
		return []string{path, filepath.Join(path, ".git"), filepath.Join(path, "HEAD")}
	}
	files := []string{path, filepath.Join(r.git, "HEAD"), filepath.Join(r.common, "packed-refs"), filepath.Join(r.common, "config")}
	names := candidates(ref)
	if ref == "" {
		names = nil
		head, err := os.ReadFile(filepath.Join(r.git, "HEAD"))
		if name, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: "); err == nil && ok {
			names = []string{name}
		}
	}
	for _, name := range names {
		files = append(files, filepath.Join(r.common, filepath.FromSlash(name)))
	}
	return files
}
