package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxBranch is how many commits of a branch are looked at for their trailers.
const maxBranch = 10_000

// Checkout is a folder on this machine as somebody works in it, mostly in the work tree of a repository,
// or in one that git knows nothing of. Nothing is ever written to it.
type Checkout struct {
	root   string // of the work tree, or the folder itself
	folder string // that was asked for, from root, slash-separated
	repo   repository
	index  map[string]filemode.FileMode
	st     *filesystem.Storage // nil without git
	odb    *objectReader
	hidden []gitignore.Pattern // of the repository's info/exclude
	open   *os.Root
}

// OpenCheckout finds the repository that a folder lies in. A folder that git ignores there is taken by
// itself. The caller closes the Checkout.
func OpenCheckout(dir string) (*Checkout, error) {
	at, err := filepath.Abs(dir)
	if err == nil {
		at, err = filepath.EvalSymlinks(at)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, unwrapPath(err))
	}
	c := &Checkout{root: at, folder: "."}
	for up := at; ; up = filepath.Dir(up) {
		if _, err := os.Stat(filepath.Join(up, ".git")); err == nil {
			if err := c.enter(up, at); err != nil {
				c.Close()
				return nil, fmt.Errorf("open %s: %w", dir, err)
			}
			break
		}
		if up == filepath.Dir(up) {
			break
		}
	}
	if c.open, err = os.OpenRoot(c.root); err != nil {
		c.Close()
		return nil, fmt.Errorf("open %s: %w", dir, unwrapPath(err))
	}
	if c.st != nil && c.folder != "." && c.ignored() {
		c.Close()
		c = &Checkout{root: at, folder: "."} // no rule of the repository holds in it
		if c.open, err = os.OpenRoot(at); err != nil {
			return nil, fmt.Errorf("open %s: %w", dir, unwrapPath(err))
		}
	}
	return c, nil
}

// enter takes up the repository whose work tree is up.
func (c *Checkout) enter(up, at string) error {
	repo, err := findRepository(up)
	if err != nil {
		return nil // a .git that is none does not make a repository
	}
	if err := repo.supported(); err != nil {
		return err
	}
	folder, err := filepath.Rel(up, at)
	if err != nil {
		return err
	}
	c.root, c.folder, c.repo, c.st = up, filepath.ToSlash(folder), repo, repo.open()
	c.odb = newObjectReader(repo.common, c.st)
	c.index = map[string]filemode.FileMode{}
	index, err := c.st.Index()
	if err != nil {
		return fmt.Errorf("read git's index: %w", err)
	}
	for _, e := range index.Entries {
		c.index[e.Name] = e.Mode
	}
	if data, err := os.ReadFile(filepath.Join(repo.common, "info", "exclude")); err == nil {
		c.hidden = ignoreRules(data, nil)
	}
	return nil
}

// ignored tells whether git ignores the folder that was asked for.
func (c *Checkout) ignored() bool {
	s, hidden, at := c.snapshot(), c.hidden, "."
	for _, step := range steps(c.folder) {
		hidden = s.rules(at, hidden)
		if at = filepath.ToSlash(filepath.Join(at, step)); step == ".git" || s.ignores(at, true, hidden) || s.embedded(at) {
			return true
		}
	}
	return false
}

// Close releases the files; nothing can be read afterwards.
func (c *Checkout) Close() {
	if c.st != nil {
		c.odb.Close()
		_ = c.st.Close()
		c.st = nil
	}
	if c.open != nil {
		c.open.Close()
	}
}

// Root is the work tree, or the folder itself where there is no repository. Paths are from here.
func (c *Checkout) Root() string { return c.root }

// Folder is the one that was asked for, from Root, slash-separated.
func (c *Checkout) Folder() string { return c.folder }

func (c *Checkout) snapshot() *snapshot {
	s := &snapshot{root: c.open, index: c.index, tracked: map[string]bool{},
		trees: map[plumbing.Hash]plumbing.EncodedObject{}, files: map[plumbing.Hash]content{}}
	for name := range c.index {
		for i := strings.LastIndexByte(name, '/'); i > 0 && !s.tracked[name[:i]]; i = strings.LastIndexByte(name[:i], '/') {
			s.tracked[name[:i]] = true
		}
	}
	return s
}

// Files is the work tree as a commit of all of it would be now: with what is not committed yet, without
// what git ignores. It behaves as Commit.Repository does. Where there is no repository it is the folder.
func (c *Checkout) Files(ctx context.Context) (fs.FS, error) {
	s := c.snapshot()
	root, err := s.take(ctx, ".", c.hidden, 0)
	if err != nil {
		return nil, err
	}
	return &treeFS{db: unpacked(s), root: root, at: ".", ids: map[string]string{}}, nil
}

// unpacked reads from a source as if it were a mirror.
func unpacked(from sizedSource) *objects {
	db := &objects{maxFile: Config{}.withDefaults().MaxFile, beside: from}
	db.forget()
	db.cache = cache.NewObjectLRU(0)
	return db
}

// Base is where a branch leaves another one.
type Base struct {
	Commit
	// BranchTrailers are those of every commit of the branch since; see Commit.Trailers.
	BranchTrailers map[string][]string
}

// Base finds where the work tree's HEAD and rev, as git names a commit, part: their merge base.
func (c *Checkout) Base(ctx context.Context, rev string) (Base, error) {
	if c.st == nil {
		return Base{}, errors.New("the folder lies in no repository that git knows")
	}
	head, err := c.find("HEAD")
	if err != nil {
		return Base{}, err
	}
	other, err := c.find(rev)
	if err != nil {
		return Base{}, err
	}
	db := unpacked(c.odb)
	bases, err := db.mergeBases(ctx, head.Hash, other.Hash)
	if err != nil {
		return Base{}, err
	}
	if len(bases) == 0 {
		if _, err := os.Stat(filepath.Join(c.repo.common, "shallow")); err == nil {
			return Base{}, fmt.Errorf("HEAD and %s: this clone does not hold the history back to there; fetch it whole (`git fetch --unshallow`, or fetch-depth: 0)", rev)
		}
		return Base{}, fmt.Errorf("HEAD and %s have no commit in common", rev)
	}
	at, err := db.commit(bases[0])
	if err != nil {
		return Base{}, fmt.Errorf("read commit %s: %w", bases[0], err)
	}
	out := Base{BranchTrailers: map[string][]string{}}
	if out.Commit, err = newCommit(db, at, "."); err != nil {
		return Base{}, fmt.Errorf("read commit %s: %w", bases[0], err)
	}
	since, _, err := db.between(ctx, bases[0], head.Hash, maxBranch)
	for _, commit := range since {
		for key, values := range parseTrailers(commit.Message) {
			out.BranchTrailers[key] = append(out.BranchTrailers[key], values...)
		}
	}
	return out, err
}

func (c *Checkout) find(rev string) (*object.Commit, error) {
	commit, err := revision(c.st, c.odb, rev)
	switch {
	case errors.Is(err, errNoRevision) && rev == "HEAD":
		return nil, errors.New("the branch has no commit yet")
	case errors.Is(err, errNoRevision):
		return nil, fmt.Errorf("there is no commit %q in this clone; fetch it first (`git fetch origin`)", rev)
	}
	return commit, err
}
