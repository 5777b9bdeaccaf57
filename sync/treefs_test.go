package sync_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	gosync "sync"
	"testing"
	"testing/fstest"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// latest makes a mirror of a local repository and returns its newest commit.
func latest(t *testing.T, repo *gitserver.Repo) gitsync.Commit {
	t.Helper()
	m := open(t, gitsync.Config{URL: repo.Dir})
	sync(t, m)
	return next(t, m)
}

func TestFS_Conforms(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{
		"a.yaml": "1", "a/b/c.yaml": "22", "a-b/x": "", "a.b": "333", "with space/ä.yaml": "4",
		"@link.yaml": "a.yaml", "@a/d": "../a-b",
	}, "first")
	c := latest(t, repo)
	if err := fstest.TestFS(c.FS, "a.yaml", "a/b/c.yaml", "a-b/x", "a.b", "with space/ä.yaml", "link.yaml", "a/d"); err != nil {
		t.Fatal(err)
	}
	sub, err := fs.Sub(c.FS, "a")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(sub, "b/c.yaml"); err != nil || string(got) != "22" {
		t.Fatalf("below a subfolder: %q, %v", got, err)
	}
}

// Links, submodules and executables are listed as what they are.
func TestFS_SpecialEntries(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	first := repo.Commit(map[string]string{"dir/a.yaml": "1", "@link": "dir", "@out": "/etc/passwd", "run.sh": "#!"}, "first")
	repo.Git("read-tree", "main")
	repo.Git("update-index", "--add", "--cacheinfo", "160000,"+first+",module")
	repo.Git("update-index", "--cacheinfo", "100755,"+repo.Git("rev-parse", "main:run.sh")+",run.sh")
	repo.PointBranch("main", repo.Git("-c", "user.name=T", "-c", "user.email=t@example.org", "commit-tree", "-m", "second", repo.Git("write-tree")))
	c := latest(t, repo)
	list, err := fs.ReadDir(c.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		i, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, i.Mode().String()+" "+e.Name())
	}
	want := "drwxr-xr-x dir, Lrwxrwxrwx link, d?rwxr-xr-x module, Lrwxrwxrwx out, -rwxr-xr-x run.sh"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("the folder shows %s, want %s", s, want)
	}
	if target, err := fs.ReadLink(c.FS, "out"); err != nil || target != "/etc/passwd" {
		t.Errorf("link points to %q, %v", target, err)
	}
	for name, says := range map[string]string{
		"out": "symbolic link out -> /etc/passwd leaves the repository", "module": "submodule", "module/x": "submodule", "link/b.yaml": "not exist",
		"dir/a.yaml/x": "not exist", "../x": "invalid", "": "invalid", "/dir": "invalid",
	} {
		if _, err := c.FS.Open(name); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("open %q: %v, want an error with %q", name, err, says)
		}
	}
	if _, err := fs.ReadDir(c.FS, "module"); err == nil {
		t.Error("a submodule reads as an empty directory")
	}
	if _, err := fs.ReadFile(c.FS, "dir"); err == nil {
		t.Error("a directory reads as a file")
	}
	if _, err := fs.ReadFile(c.FS, "missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// ContentID is what lets a reader skip what did not change.
func TestFS_ContentID(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a/x.yaml": "1", "a/y/z.yaml": "1", "b/x.yaml": "1"}, "first")
	m := open(t, gitsync.Config{URL: repo.Dir})
	sync(t, m)
	before := next(t, m)
	repo.Commit(map[string]string{"a/x.yaml": "2"}, "second")
	sync(t, m)
	after := next(t, m)
	for name, same := range map[string]bool{".": false, "a": false, "a/x.yaml": false, "a/y": true, "a/y/z.yaml": true, "b": true} {
		if got := contentID(t, before, name) == contentID(t, after, name); got != same {
			t.Errorf("%s: same content is %t, want %t", name, got, same)
		}
	}
	if contentID(t, before, "a/y/z.yaml") != contentID(t, before, "b/x.yaml") {
		t.Error("equal files have different content")
	}
	if got := contentID(t, after, "."); got != after.Tree {
		t.Errorf("content of the root is %s, Tree %s", got, after.Tree)
	}
}

func contentID(t *testing.T, c gitsync.Commit, name string) string {
	t.Helper()
	i, err := fs.Stat(c.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	return i.Sys().(interface{ ContentID() string }).ContentID()
}

// Many readers of one commit at once, with more directories than the cache of parsed ones is for.
func TestFS_Concurrent(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	want := map[string]string{}
	for i := range 500 {
		want[fmt.Sprintf("d%d/%d/f.yaml", i%7, i)] = fmt.Sprint(i)
	}
	repo.Commit(want, "first")
	c := latest(t, repo)
	var readers gosync.WaitGroup
	for range 8 {
		readers.Go(func() {
			if got := readAll(t, c.FS); len(got) != len(want) || got["d3/45/f.yaml"] != "45" {
				t.Errorf("read %d files, want %d", len(got), len(want))
			}
		})
	}
	readers.Wait()
}
