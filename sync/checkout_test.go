package sync_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

func checkout(t *testing.T, dir string) *gitsync.Checkout {
	t.Helper()
	c, err := gitsync.OpenCheckout(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// names lists every file of a tree.
func names(t *testing.T, fsys fs.FS) string {
	t.Helper()
	var all []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, p)
		}
		if d.Type()&fs.ModeIrregular != 0 {
			all = append(all, p+" (submodule)")
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// What is read is what `git add -A` would take, in the same words as a commit of it.
func TestCheckout_Files(t *testing.T) {
	other := gitserver.NewWorkTree(t)
	other.Commit("lib", map[string]string{"lib.yaml": "x"})
	w := gitserver.NewWorkTree(t)
	w.Git("submodule", "add", "-q", other.Dir, "vendored/lib")
	w.Commit("first", map[string]string{
		"a.yaml": "1", "b/b.yaml": "1", "kept/by/force.tmp": "t", "gone.yaml": "1", ".git-not": "x",
	})
	w.Write(map[string]string{
		".gitignore": "*.tmp\nbuild/\n", "b/.gitignore": "/c.yaml\n", "b/c.yaml": "ignored", "b/d/c.yaml": "not ignored",
		"a.yaml": "changed", "new.yaml": "new", "x.tmp": "ignored", "build/out.yaml": "ignored", ".git/info/exclude": "/mine.yaml\n", "mine.yaml": "excluded",
	})
	w.Git("rm", "-q", "--cached", "gone.yaml") // it is still there and not tracked: git add would take it again
	if err := os.Symlink("../a.yaml", filepath.Join(w.Dir, "b/link.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(w.Dir, "out.yaml")); err != nil {
		t.Fatal(err)
	}
	c := checkout(t, filepath.Join(w.Dir, "b"))
	if c.Root() != w.Dir || c.Folder() != "b" {
		t.Errorf("root %s, folder %s", c.Root(), c.Folder())
	}
	files, err := c.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := names(t, files)
	want := ".git-not .gitignore .gitmodules a.yaml b/.gitignore b/b.yaml b/d/c.yaml b/link.yaml gone.yaml kept/by/force.tmp new.yaml out.yaml vendored/lib (submodule)"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if data, err := fs.ReadFile(files, "b/link.yaml"); err != nil || string(data) != "changed" {
		t.Errorf("through a link: %q, %v", data, err)
	}
	var link *gitsync.LinkError
	if _, err := fs.ReadFile(files, "out.yaml"); !errors.As(err, &link) {
		t.Errorf("a link that leaves the repository: %v", err)
	}
	// The same content has the same identity in the work tree and in the commit.
	base, err := c.Base(t.Context(), "main")
	if err != nil || base.Hash != w.Git("rev-parse", "HEAD") {
		t.Fatalf("base: %+v, %v", base, err)
	}
	for name, same := range map[string]bool{"b/b.yaml": true, "a.yaml": false, "kept": true} {
		if got := identity(t, files, name) == identity(t, base.Repository, name); got != same {
			t.Errorf("%s: the same %t, want %t", name, got, same)
		}
	}
}

func identity(t *testing.T, fsys fs.FS, name string) string {
	t.Helper()
	info, err := fs.Stat(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(interface{ ContentID() string }).ContentID()
}

func TestCheckout_PlainAndIgnoredFolders(t *testing.T) {
	plain := gitserver.NewWorkTree(t)
	plain.Write(map[string]string{"a.yaml": "1", ".gitignore": "a.yaml\n", ".git": ""})
	dir := plain.Dir
	c := checkout(t, dir)
	files, err := c.Files(t.Context())
	if err != nil || c.Folder() != "." || names(t, files) != ".gitignore a.yaml" {
		t.Errorf("a folder without git: %v, %s", err, names(t, files))
	}
	unversioned(t, c)
	r := gitserver.NewWorkTree(t)
	r.Commit("first", map[string]string{".gitignore": "/out/\n", "x.yaml": "1"})
	r.Write(map[string]string{"out/deep/y.yaml": "made", ".git/info/exclude": "y.yaml\n"}) // which says nothing in there
	c = checkout(t, filepath.Join(r.Dir, "out/deep"))
	files, err = c.Files(t.Context())
	if err != nil || names(t, files) != "y.yaml" {
		t.Errorf("a folder that git ignores: %v, %s", err, names(t, files))
	}
	unversioned(t, c)
}

// unversioned checks that a folder counts as one that no repository holds.
func unversioned(t *testing.T, c *gitsync.Checkout) {
	t.Helper()
	if _, err := c.Base(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "lies in no repository") {
		t.Errorf("base: %v", err)
	}
}

// Revisions mean what they mean to git.
func TestCheckout_Revisions(t *testing.T) {
	w := gitserver.NewWorkTree(t)
	w.Commit("one", map[string]string{"a": "1"})
	w.Git("tag", "-a", "-m", "t", "v1")
	w.Commit("two", map[string]string{"a": "2"})
	w.Git("switch", "-q", "-c", "team/side", "HEAD~1")
	w.Commit("side\n\nAllow-Delete: 3", map[string]string{"b": "1"})
	w.Git("merge", "-q", "-m", "merge", "main")
	w.Commit("last\n\nAllow-Delete: Pod/a/b\nSigned-off-by: T <t@example.org>", nil)
	w.Git("update-ref", "refs/remotes/origin/main", "main~1")
	w.Git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
	linked := filepath.Join(t.TempDir(), "linked")
	w.Git("worktree", "add", "-q", linked, "-b", "linked", "team/side")
	for _, dir := range []string{w.Dir, linked} {
		c := checkout(t, dir)
		for _, rev := range []string{"HEAD", "main", "v1", "v1^0", "team/side", "heads/main", "origin/main", "origin", "refs/heads/main", "HEAD~1", "HEAD^", "HEAD~^2", "HEAD^^1~1",
			w.Git("rev-parse", "main"), w.Git("rev-parse", "--short=7", "main"), w.Git("rev-parse", "--short=8", "main")} {
			base, err := c.Base(t.Context(), rev)
			if want := w.Git("merge-base", "team/side", rev); err != nil || base.Hash != want {
				t.Errorf("%s: got %s, %v, want %s", rev, base.Hash, err, want)
			}
		}
		for _, rev := range []string{"nothing", "", "HEAD~9", "HEAD^3", "main~x", "0123456789012345678901234567890123456789", "abcd", "~", "^", "-", "main^{tree}", "v1~99999999999999999999"} {
			if base, err := c.Base(t.Context(), rev); err == nil || !strings.Contains(err.Error(), "there is no commit") {
				t.Errorf("%s: got %+v, %v", rev, base, err)
			}
		}
	}
	base, err := checkout(t, w.Dir).Base(t.Context(), "v1")
	slices.Sort(base.BranchTrailers["Allow-Delete"])
	if got := strings.Join(base.BranchTrailers["Allow-Delete"], ", "); err != nil || got != "3, Pod/a/b" {
		t.Errorf("trailers of the branch: %q, %v", got, err)
	}
}

func TestCheckout_HistoryThatIsNotThere(t *testing.T) {
	empty := gitserver.NewWorkTree(t)
	if _, err := checkout(t, empty.Dir).Base(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "no commit yet") {
		t.Errorf("no commit: %v", err)
	}
	w := gitserver.NewWorkTree(t)
	w.Commit("one", map[string]string{"a": "1"})
	w.Git("switch", "-q", "-c", "early")
	w.Commit("early", map[string]string{"a": "3"})
	w.Git("switch", "-q", "main")
	w.Commit("two", map[string]string{"a": "2"})
	w.Git("switch", "-q", "--orphan", "alone")
	w.Commit("alone", map[string]string{"a": "2"})
	if _, err := checkout(t, w.Dir).Base(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "no commit in common") {
		t.Errorf("unrelated: %v", err)
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	w.Git("clone", "-q", "--depth=1", "--no-single-branch", "--branch=main", "file://"+w.Dir, shallow)
	if _, err := checkout(t, shallow).Base(t.Context(), "origin/early"); err == nil || !strings.Contains(err.Error(), "fetch it whole") {
		t.Errorf("shallow: %v", err)
	}
}
