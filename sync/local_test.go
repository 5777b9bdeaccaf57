package sync_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// Each case changes a watched repository in one way and expects the commit at once: the interval is
// an hour.
func TestLocal_Noticed(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, repo *gitserver.Repo) string{
		"loose reference": func(_ *testing.T, repo *gitserver.Repo) string {
			return repo.Commit(map[string]string{"a.yaml": "2"}, "second")
		},
		"packed references rewritten": func(_ *testing.T, repo *gitserver.Repo) string {
			repo.PackRefs()
			return repo.Commit(map[string]string{"a.yaml": "2"}, "second")
		},
		"commit and pack": func(_ *testing.T, repo *gitserver.Repo) string {
			defer repo.PackRefs()
			return repo.Commit(map[string]string{"a.yaml": "2"}, "second")
		},
		"only in packed references": func(t *testing.T, repo *gitserver.Repo) string {
			repo.PackRefs()
			first := repo.Tip()
			repo.Branch = "other"
			second := repo.ForceCommit(first, map[string]string{"a.yaml": "2"}, "second")
			repo.Branch = "main"
			replace(t, filepath.Join(repo.Dir, "packed-refs"), first, second)
			return second
		},
		"objects packed": func(_ *testing.T, repo *gitserver.Repo) string {
			defer repo.Repack()
			return repo.Commit(map[string]string{"a.yaml": "2"}, "second")
		},
		"repository replaced by another": func(t *testing.T, repo *gitserver.Repo) string {
			other := repo.Borrower()
			second := other.Commit(map[string]string{"a.yaml": "2"}, "second")
			replace(t, filepath.Join(other.Dir, "objects", "info", "alternates"), repo.Dir, repo.Dir+".old")
			for _, move := range [][2]string{{repo.Dir, repo.Dir + ".old"}, {other.Dir, repo.Dir}} {
				if err := os.Rename(move[0], move[1]); err != nil {
					t.Fatal(err)
				}
			}
			return second
		},
		"push": func(t *testing.T, repo *gitserver.Repo) string {
			clone := filepath.Join(t.TempDir(), "clone")
			repo.Git("clone", "--quiet", repo.Dir, clone)
			repo.Git("-C", clone, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "--allow-empty", "-m", "second")
			repo.Git("-C", clone, "push", "--quiet", "origin", "main")
			return repo.Tip()
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gitserver.NewRepo(t, "config")
			first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
			m := start(t, gitsync.Config{URL: "file://" + repo.Dir})
			if c := next(t, m); c.Hash != first {
				t.Fatalf("got %s, want %s", c.Hash, first)
			}
			want := change(t, repo)
			if c := next(t, m); c.Hash != want || c.Rewritten {
				t.Fatalf("got %s (rewritten %t), want %s", c.Hash, c.Rewritten, want)
			}
			last := repo.Commit(map[string]string{"a.yaml": "last"}, "last")
			if c := next(t, m); c.Hash != last {
				t.Fatalf("got %s, want %s on top", c.Hash, last)
			}
		})
	}
}

// A repository on the way: it does not exist, then is empty, then has a branch in a folder of its
// own.
func TestLocal_FromNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later", "config.git")
	m := start(t, gitsync.Config{URL: dir, Ref: "team/blue"})
	troubled(t, m, gitsync.Unreachable, "there is no repository at "+dir)
	repo := gitserver.NewRepoAt(t, dir)
	troubled(t, m, gitsync.Empty, "has no commit yet")
	other := repo.Commit(map[string]string{"a.yaml": "1"}, "other")
	troubled(t, m, gitsync.RefMissing, "has no branch or tag team/blue")
	repo.PointBranch("team/blue", other)
	if c := next(t, m); c.Hash != other {
		t.Fatalf("got %s, want %s", c.Hash, other)
	}
	sync(t, m)
	if s := m.State(); s.Trouble != nil || s.Resolved != "refs/heads/team/blue" || s.Newest != other || s.Delivered != other {
		t.Fatalf("state is %+v", s)
	}
}

func TestLocal_GoneAndBack(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	m := start(t, gitsync.Config{URL: repo.Dir})
	c := next(t, m)
	away := repo.Dir + ".away"
	if err := os.Rename(repo.Dir, away); err != nil {
		t.Fatal(err)
	}
	troubled(t, m, gitsync.Unreachable, "there is no repository")
	since := m.State().Trouble.Since
	troubled(t, m, gitsync.Unreachable, "there is no repository")
	if got := m.State().Trouble.Since; !got.Equal(since) {
		t.Fatalf("trouble began %s, after a second look %s", since, got)
	}
	if got := readAll(t, c.FS); got["a.yaml"] != "1" {
		t.Fatalf("files of the last commit are %q", got)
	}
	if err := os.Rename(away, repo.Dir); err != nil {
		t.Fatal(err)
	}
	second := repo.Commit(map[string]string{"a.yaml": "2"}, "second")
	if c := next(t, m); c.Hash != second {
		t.Fatalf("got %s, want %s", c.Hash, second)
	}
}

func TestLocal_Worktree(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	repo.PointBranch("work", repo.Tip())
	tree := repo.Worktree("work")
	byName := start(t, gitsync.Config{URL: tree, Ref: "work"})
	next(t, byName)
	byHead := start(t, gitsync.Config{URL: tree, Ref: "HEAD"})
	next(t, byHead)
	// What is only in the work tree is not followed.
	if err := os.WriteFile(filepath.Join(tree, "a.yaml"), []byte("dirty"), 0o600); err != nil {
		t.Fatal(err)
	}
	sync(t, byName)
	nothing(t, byName)
	repo.Git("-C", tree, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-a", "-m", "second")
	for _, m := range []*gitsync.Mirror{byName, byHead} {
		c := next(t, m)
		if got := readAll(t, c.FS); c.Subject != "second" || got["a.yaml"] != "dirty" {
			t.Fatalf("got %s with %q, want second", c.Subject, got)
		}
		sync(t, m)
		if s := m.State(); s.Resolved != "refs/heads/work" {
			t.Fatalf("resolved to %s, want refs/heads/work", s.Resolved)
		}
	}
	// HEAD moves to another branch.
	repo.Git("-C", tree, "checkout", "--quiet", "--detach", "HEAD^")
	if c := next(t, byHead); c.Subject != "first" || !c.Rewritten {
		t.Fatalf("got %s (rewritten %t), want first, rewritten", c.Subject, c.Rewritten)
	}
}

func TestLocal_Alternates(t *testing.T) {
	lender := gitserver.NewRepo(t, "lender")
	lender.Commit(map[string]string{"a/a.yaml": "1", "b/b.yaml": "1"}, "first")
	lender.Repack()
	repo := lender.Borrower()
	m := start(t, gitsync.Config{URL: repo.Dir})
	if got := readAll(t, next(t, m).FS); len(got) != 2 || got["b/b.yaml"] != "1" {
		t.Fatalf("got %q", got)
	}
	lender.Commit(map[string]string{"b/b.yaml": "2"}, "second")
	repo.PointBranch("main", lender.Tip())
	if got := readAll(t, next(t, m).FS); got["a/a.yaml"] != "1" || got["b/b.yaml"] != "2" {
		t.Fatalf("got %q", got)
	}
}

func TestLocal_Unsupported(t *testing.T) {
	for _, c := range []struct {
		name, config, says string
		options            []string
	}{
		{name: "sha256", options: []string{"--object-format=sha256"}, says: "only SHA-1 repositories"},
		{name: "reftable", config: "[extensions]\n\trefStorage = reftable\n", says: "git refs migrate"},
		{name: "future", config: "[core]\n\trepositoryformatversion = 7\n", says: "format 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			repo := gitserver.NewRepo(t, "config", c.options...)
			if c.config != "" {
				appendTo(t, filepath.Join(repo.Dir, "config"), c.config)
			}
			troubled(t, open(t, gitsync.Config{URL: repo.Dir}), gitsync.Unsupported, c.says)
		})
	}
	t.Run("no repository", func(t *testing.T) {
		troubled(t, open(t, gitsync.Config{URL: t.TempDir()}), gitsync.NotFound, "is not a git repository")
	})
}

// Following a local repository needs no git at all, whatever form it is in.
func TestLocal_WithoutGit(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	repo.PackRefs()
	repo.Repack()
	t.Setenv("PATH", "")
	m := open(t, gitsync.Config{URL: repo.Dir})
	sync(t, m)
	if got := readAll(t, next(t, m).FS); got["a.yaml"] != "1" {
		t.Fatalf("got %q", got)
	}
}

// The followed repository loses the commit in force: forced elsewhere, repacked and pruned.
func TestLocal_PrunedCommitStaysReadable(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1", "dir/b.yaml": "1"}, "first")
	m := open(t, gitsync.Config{URL: repo.Dir})
	sync(t, m)
	old := next(t, m)
	repo.ForceCommit("", map[string]string{"c.yaml": "3"}, "another history")
	repo.Repack()
	sync(t, m)
	c := next(t, m)
	if got := readAll(t, c.FS); len(got) != 1 || got["c.yaml"] != "3" || !c.Rewritten {
		t.Fatalf("got %q (rewritten %t)", got, c.Rewritten)
	}
	if got := readAll(t, old.FS); len(got) != 2 || got["dir/b.yaml"] != "1" {
		t.Fatalf("the old commit holds %q", got)
	}
}

// A shallow clone has no history beyond its edge; its tip is followed all the same.
func TestLocal_Shallow(t *testing.T) {
	origin := gitserver.NewRepo(t, "origin")
	origin.Commit(map[string]string{"a.yaml": "1"}, "first")
	origin.Commit(map[string]string{"a.yaml": "2"}, "second")
	dir := filepath.Join(t.TempDir(), "shallow")
	origin.Git("clone", "--quiet", "--depth=1", "file://"+origin.Dir, dir)
	m := open(t, gitsync.Config{URL: dir})
	sync(t, m)
	if c := next(t, m); c.Subject != "second" {
		t.Fatalf("got %s, want second", c.Subject)
	}
}

// replace exchanges text in a file as git does: a new file renamed over the old one.
func replace(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s does not hold %s", file, old)
	}
	if err := os.WriteFile(file+".lock", []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".lock", file); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
