package sync_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gitsync "writ/sync"
)

// workTree is a repository with a work tree, and git as its owner runs it.
type workTree struct {
	*testing.T
	dir string
}

func newWorkTree(t *testing.T) workTree {
	t.Helper()
	w := workTree{t, t.TempDir()}
	w.git("init", "-q", "-b", "main")
	return w
}

func (w workTree) git(args ...string) string {
	w.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w workTree) write(files map[string]string) {
	w.Helper()
	for name, text := range files {
		at := filepath.Join(w.dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if err == nil {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			w.Fatal(err)
		}
	}
}

func (w workTree) commit(message string, files map[string]string) {
	w.Helper()
	w.write(files)
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", message)
}

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
	other := newWorkTree(t)
	other.commit("lib", map[string]string{"lib.yaml": "x"})
	w := newWorkTree(t)
	w.git("submodule", "add", "-q", other.dir, "vendored/lib")
	w.commit("first", map[string]string{
		"a.yaml": "1", "b/b.yaml": "1", "kept/by/force.tmp": "t", "gone.yaml": "1", ".git-not": "x",
	})
	w.write(map[string]string{
		".gitignore": "*.tmp\nbuild/\n", "b/.gitignore": "/c.yaml\n", "b/c.yaml": "ignored", "b/d/c.yaml": "not ignored",
		"a.yaml": "changed", "new.yaml": "new", "x.tmp": "ignored", "build/out.yaml": "ignored", ".git/info/exclude": "/mine.yaml\n", "mine.yaml": "excluded",
	})
	w.git("rm", "-q", "--cached", "gone.yaml") // it is still there and not tracked: git add would take it again
	if err := os.Symlink("../a.yaml", filepath.Join(w.dir, "b/link.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(w.dir, "out.yaml")); err != nil {
		t.Fatal(err)
	}
	c := checkout(t, filepath.Join(w.dir, "b"))
	if c.Root() != w.dir || c.Folder() != "b" || !c.Versioned() {
		t.Errorf("root %s, folder %s, versioned %t", c.Root(), c.Folder(), c.Versioned())
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
	if err != nil || !base.Own {
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
	dir := t.TempDir()
	w := workTree{t, dir}
	w.write(map[string]string{"a.yaml": "1", ".gitignore": "a.yaml\n"})
	c := checkout(t, dir)
	files, err := c.Files(t.Context())
	if err != nil || c.Versioned() || c.Folder() != "." || names(t, files) != ".gitignore a.yaml" {
		t.Errorf("a folder without git: %v, versioned %t, %s", err, c.Versioned(), names(t, files))
	}
	if _, err := c.Base(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "lies in no repository") {
		t.Errorf("base: %v", err)
	}
	r := newWorkTree(t)
	r.commit("first", map[string]string{".gitignore": "/out/\n", "x.yaml": ""})
	r.write(map[string]string{"out/deep/y.yaml": "made"})
	c = checkout(t, filepath.Join(r.dir, "out/deep"))
	files, err = c.Files(t.Context())
	if err != nil || c.Versioned() || names(t, files) != "y.yaml" {
		t.Errorf("a folder that git ignores: %v, versioned %t, %s", err, c.Versioned(), names(t, files))
	}
}

// Revisions mean what they mean to git.
func TestCheckout_Revisions(t *testing.T) {
	w := newWorkTree(t)
	w.commit("one", map[string]string{"a": "1"})
	w.git("tag", "-a", "-m", "t", "v1")
	w.commit("two", map[string]string{"a": "2"})
	w.git("switch", "-q", "-c", "team/side", "HEAD~1")
	w.commit("side\n\nAllow-Delete: 3", map[string]string{"b": "1"})
	w.git("merge", "-q", "-m", "merge", "main")
	w.commit("last\n\nAllow-Delete: Pod/a/b\nSigned-off-by: T <t@example.org>", nil)
	w.git("update-ref", "refs/remotes/origin/main", "main~1")
	w.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
	linked := filepath.Join(t.TempDir(), "linked")
	w.git("worktree", "add", "-q", linked, "-b", "linked", "team/side")
	for _, dir := range []string{w.dir, linked} {
		c := checkout(t, dir)
		for _, rev := range []string{"HEAD", "main", "v1", "v1^0", "team/side", "heads/main", "origin/main", "origin", "refs/heads/main", "HEAD~1", "HEAD^", "HEAD~^2", "HEAD^^1~1",
			w.git("rev-parse", "main"), w.git("rev-parse", "--short=7", "main"), w.git("rev-parse", "--short=8", "main")} {
			base, err := c.Base(t.Context(), rev)
			if want := w.git("merge-base", "team/side", rev); err != nil || base.Hash != want {
				t.Errorf("%s: got %s, %v, want %s", rev, base.Hash, err, want)
			}
		}
		for _, rev := range []string{"nothing", "", "HEAD~9", "HEAD^3", "main~x", "0123456789012345678901234567890123456789", "abcd", "~", "^", "-", "main^{tree}", "v1~99999999999999999999"} {
			if base, err := c.Base(t.Context(), rev); err == nil || !strings.Contains(err.Error(), "there is no commit") {
				t.Errorf("%s: got %+v, %v", rev, base, err)
			}
		}
	}
	base, err := checkout(t, w.dir).Base(t.Context(), "v1")
	slices.Sort(base.Branch["Allow-Delete"])
	if got := strings.Join(base.Branch["Allow-Delete"], ", "); err != nil || got != "3, Pod/a/b" {
		t.Errorf("trailers of the branch: %q, %v", got, err)
	}
}

func TestCheckout_HistoryThatIsNotThere(t *testing.T) {
	empty := newWorkTree(t)
	if _, err := checkout(t, empty.dir).Base(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "no commit yet") {
		t.Errorf("no commit: %v", err)
	}
	w := newWorkTree(t)
	w.commit("one", map[string]string{"a": "1"})
	w.git("switch", "-q", "-c", "early")
	w.commit("early", map[string]string{"a": "3"})
	w.git("switch", "-q", "main")
	w.commit("two", map[string]string{"a": "2"})
	w.git("switch", "-q", "--orphan", "alone")
	w.commit("alone", map[string]string{"a": "2"})
	if _, err := checkout(t, w.dir).Base(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "no commit in common") {
		t.Errorf("unrelated: %v", err)
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	w.git("clone", "-q", "--depth=1", "--no-single-branch", "--branch=main", "file://"+w.dir, shallow)
	if _, err := checkout(t, shallow).Base(t.Context(), "origin/early"); !errors.Is(err, gitsync.ErrShallow) {
		t.Errorf("shallow: %v", err)
	}
}
