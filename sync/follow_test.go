package sync_test

import (
	"path/filepath"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// everywhere runs a test against a local repository and the same one behind http.
func everywhere(t *testing.T, test func(t *testing.T, repo *gitserver.Repo, url string)) {
	t.Run("local", func(t *testing.T) {
		repo := gitserver.NewRepo(t, "config")
		test(t, repo, repo.Dir)
	})
	t.Run("http", func(t *testing.T) {
		repo := gitserver.NewRepo(t, "config")
		test(t, repo, gitserver.ServeHTTP(t, filepath.Dir(repo.Dir)).URL+"/config.git")
	})
}

func TestFollow_EmptyThenFirstCommit(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		m := open(t, gitsync.Config{URL: url})
		troubled(t, m, gitsync.Empty, "has no commit yet")
		first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
		sync(t, m)
		if c := next(t, m); c.Hash != first || c.Rewritten {
			t.Fatalf("got %+v, want %s", c, first)
		}
	})
}

func TestFollow_BranchDeletedAndBack(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
		repo.PointBranch("other", first)
		m := open(t, gitsync.Config{URL: url})
		sync(t, m)
		c := next(t, m)
		repo.DeleteBranch("main")
		troubled(t, m, gitsync.RefMissing, "has no branch or tag main")
		nothing(t, m)
		if s := m.State(); s.Delivered != first || s.Newest != first {
			t.Fatalf("state is %+v, want the first commit in force", s)
		}
		if got := readAll(t, c.FS); got["a.yaml"] != "1" {
			t.Fatalf("the commit in force holds %q", got)
		}
		repo.PointBranch("main", first)
		sync(t, m)
		nothing(t, m)
		if s := m.State(); s.Trouble != nil {
			t.Fatalf("trouble stays: %+v", s.Trouble)
		}
	})
}

func TestFollow_TagsAndCommits(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
		second := repo.Commit(map[string]string{"a.yaml": "2"}, "second")
		third := repo.Commit(map[string]string{"a.yaml": "3"}, "third")
		repo.Tag("light", first, "")
		repo.Tag("heavy", second, "a release")
		repo.Tag("main", first, "") // a tag of the branch's name
		for ref, want := range map[string][2]string{
			"light":                        {first, "refs/tags/light"},
			"heavy":                        {second, "refs/tags/heavy"},
			"refs/tags/heavy":              {second, "refs/tags/heavy"},
			"refs/heads/main":              {third, "refs/heads/main"},
			"main":                         {third, "refs/heads/main"},
			"HEAD":                         {third, "refs/heads/main"},
			first:                          {first, ""},
			third:                          {third, ""},
			repo.Git("rev-parse", "heavy"): {second, ""},
		} {
			m := open(t, gitsync.Config{URL: url, Ref: ref})
			sync(t, m)
			if c := next(t, m); c.Hash != want[0] {
				t.Errorf("%s: got %s, want %s", ref, c.Hash, want[0])
			}
			if s := m.State(); s.Resolved != want[1] {
				t.Errorf("%s: resolved to %q, want %q", ref, s.Resolved, want[1])
			}
		}
		for _, ref := range []string{"nothing", "refs/heads/light", strings.Repeat("ab", 20)} {
			troubled(t, open(t, gitsync.Config{URL: url, Ref: ref}), gitsync.RefMissing, "")
		}

		m := open(t, gitsync.Config{URL: url, Ref: "heavy"})
		sync(t, m)
		next(t, m)
		repo.Tag("heavy", third, "moved on")
		sync(t, m)
		if c := next(t, m); c.Hash != third || c.Rewritten {
			t.Fatalf("moved tag: got %s (rewritten %t), want %s", c.Hash, c.Rewritten, third)
		}
		repo.Tag("heavy", first, "moved back")
		sync(t, m)
		if c := next(t, m); c.Hash != first || !c.Rewritten {
			t.Fatalf("tag moved back: got %s (rewritten %t), want %s, rewritten", c.Hash, c.Rewritten, first)
		}
	})
}

// A server that gives out only tips: a commit below one is still found.
func TestFollow_CommitOfStrictServer(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Git("config", "uploadpack.allowReachableSHA1InWant", "false")
	first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	repo.Commit(map[string]string{"a.yaml": "2"}, "second")
	m := open(t, gitsync.Config{URL: gitserver.ServeHTTP(t, filepath.Dir(repo.Dir)).URL + "/config.git", Ref: first})
	sync(t, m)
	if got := readAll(t, next(t, m).FS); got["a.yaml"] != "1" {
		t.Fatalf("got %q", got)
	}
}

func TestFollow_Rewritten(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		first := repo.Commit(map[string]string{"a.yaml": "1", "dir/b.yaml": "1"}, "first")
		second := repo.Commit(map[string]string{"a.yaml": "2"}, "second")
		m := open(t, gitsync.Config{URL: url})
		sync(t, m)
		old := next(t, m)
		forced := repo.ForceCommit(first, map[string]string{"a.yaml": "forced"}, "forced")
		sync(t, m)
		c := next(t, m)
		if c.Hash != forced || !c.Rewritten {
			t.Fatalf("got %s (rewritten %t), want %s, rewritten", c.Hash, c.Rewritten, forced)
		}
		if got := readAll(t, old.FS); got["a.yaml"] != "2" || got["dir/b.yaml"] != "1" {
			t.Fatalf("the old commit holds %q", got)
		}
		repo.Commit(map[string]string{"a.yaml": "on"}, "on top")
		sync(t, m)
		top := next(t, m)
		if top.Rewritten {
			t.Fatal("a commit on top of a forced one is marked as rewritten")
		}
		for _, c := range []struct {
			old, new string
			want     bool
		}{{first, first, true}, {first, second, true}, {second, forced, false}, {first, top.Hash, true},
			{forced, top.Hash, true}, {top.Hash, first, false}, {strings.Repeat("0", 40), first, false}} {
			if got, err := m.Ancestor(t.Context(), c.old, c.new); err != nil || got != c.want {
				t.Errorf("Ancestor(%s, %s) = %t, %v; want %t", c.old, c.new, got, err, c.want)
			}
		}
		if _, err := m.Ancestor(t.Context(), first, strings.Repeat("0", 40)); err == nil {
			t.Error("Ancestor of an unknown commit: no error")
		}
	})
}

// Whoever is slow gets the newest only, and Rewritten is about the last commit that was received.
func TestFollow_NewestSupersedes(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		m := open(t, gitsync.Config{URL: url})
		first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
		sync(t, m)
		next(t, m)
		repo.Commit(map[string]string{"a.yaml": "2"}, "second")
		sync(t, m)
		repo.ForceCommit(first, map[string]string{"a.yaml": "3"}, "third, beside the second")
		sync(t, m)
		if c := next(t, m); !strings.HasPrefix(c.Subject, "third") || c.Rewritten {
			t.Fatalf("got %s (rewritten %t), want the third, on top of the first", c.Subject, c.Rewritten)
		}
		nothing(t, m)
	})
}

// A folder that is not there is said, and the last commit stays; it never becomes an empty tree.
func TestFollow_Path(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		first := repo.Commit(map[string]string{"clusters/blue/a.yaml": "1", "b.yaml": "1", "@link": "clusters", "@out": "../other", "@file": "b.yaml"}, "first")
		m := open(t, gitsync.Config{URL: url, Path: "/clusters/blue/"})
		sync(t, m)
		c := next(t, m)
		if got := readAll(t, c.FS); len(got) != 1 || got["a.yaml"] != "1" {
			t.Fatalf("the folder holds %q", got)
		}
		gone := repo.Delete("gone", "clusters")
		troubled(t, m, gitsync.PathMissing, "folder clusters/blue is not in the commit")
		nothing(t, m)
		if s := m.State(); s.Newest != gone || s.Delivered != first {
			t.Fatalf("newest is %s, delivered %s; want %s, %s", s.Newest, s.Delivered, gone, first)
		}
		troubled(t, m, gitsync.PathMissing, "folder clusters/blue is not in the commit")
		repo.Commit(map[string]string{"clusters/blue/a.yaml": "1"}, "back")
		sync(t, m)
		back := next(t, m)
		if back.Subject != "back" || back.Rewritten || back.Tree != c.Tree {
			t.Fatalf("got %+v, want the same tree as before", back)
		}
		for path, says := range map[string]string{
			"b.yaml": "is not a folder", "file": "is not a folder", "link/green": "is not in the commit", "b.yaml/x": "is not in the commit",
			"out": "symbolic link out -> ../other leaves the repository"} {
			troubled(t, open(t, gitsync.Config{URL: url, Path: path}), gitsync.PathMissing, says)
		}
		linked := open(t, gitsync.Config{URL: url, Path: "link/blue"})
		sync(t, linked)
		if got := readAll(t, next(t, linked).FS); len(got) != 1 || got["a.yaml"] != "1" {
			t.Fatalf("behind a link the folder holds %q", got)
		}
	})
}

// An empty commit and one outside the folder have the same Tree, and so has a revert.
func TestFollow_EqualTrees(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		m := open(t, gitsync.Config{URL: url, Path: "app"})
		var trees []string
		for _, files := range []map[string]string{
			{"app/a.yaml": "1", "docs/x": "1"}, nil, {"docs/x": "2"}, {"app/a.yaml": "2"}, {"app/a.yaml": "1"}} {
			repo.Commit(files, "change")
			sync(t, m)
			trees = append(trees, next(t, m).Tree)
		}
		if trees[0] != trees[1] || trees[1] != trees[2] || trees[2] == trees[3] || trees[4] != trees[0] {
			t.Fatalf("trees are %q", trees)
		}
	})
}
