package sync_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// A commit that is made to exhaust its reader is refused with a reason, in no time and without memory;
// the commit before it stays, and the one after it comes.
func TestHostile_Refused(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		http   string
		locals string
	}{
		"a file of zeros": {map[string]string{"zeros": strings.Repeat("\x00", 2<<20)},
			"the repository holds an object of 2097152 bytes", "zeros is 2097152 bytes large, at most 1048576 are taken"},
		"a deep folder": {map[string]string{strings.Repeat("a/", 1100) + "f": ""}, "more than 1000 deep", "more than 1000 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
				first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
				m := open(t, gitsync.Config{URL: url, MaxObject: 1 << 20})
				sync(t, m)
				good := next(t, m)
				repo.Commit(c.files, "hostile")
				says := c.http
				if url == repo.Dir {
					says = c.locals
				}
				troubled(t, m, gitsync.TooLarge, says)
				nothing(t, m)
				if s := m.State(); s.Delivered != first || readAll(t, good.FS)["a.yaml"] != "1" {
					t.Fatalf("state is %+v", s)
				}
				repo.ForceCommit(first, map[string]string{"a.yaml": "2"}, "mended")
				sync(t, m)
				if c := next(t, m); c.Subject != "mended" || c.Rewritten {
					t.Fatalf("got %s (rewritten %t)", c.Subject, c.Rewritten)
				}
			})
		})
	}
}

// Thirty directories that each hold the next one ten times have 10^30 files. Nobody walks them here.
func TestHostile_TreeWithoutEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
		tree := repo.Git("rev-parse", first+"^{tree}")
		for range 30 {
			var entries []string
			for i := range 10 {
				entries = append(entries, fmt.Sprintf("040000 tree %s\t%d", tree, i))
			}
			tree = repo.Tree(entries...)
		}
		repo.CommitTree(tree, "without end", first)
		m := open(t, gitsync.Config{URL: url})
		sync(t, m)
		c := next(t, m)
		if got, err := fs.ReadFile(c.FS, strings.Repeat("7/", 30)+"a.yaml"); err != nil || string(got) != "1" {
			t.Fatalf("at the bottom: %q, %v", got, err)
		}
	})
}

// What an author claims cannot speak to a terminal.
func TestHostile_Author(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	tree := repo.Git("rev-parse", repo.Commit(nil, "first")+"^{tree}")
	repo.PointBranch("main", repo.Git("-c", "user.name=Ma\x1b]0;x\x07ry", "-c", "user.email=m\u202ea@example.org", "commit-tree", "-m", "sub\x1b[31mject", tree))
	c := latest(t, repo)
	if got, want := c.Author+"|"+c.Email+"|"+c.Subject, "Ma ]0;x ry|m a@example.org|sub [31mject"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}
