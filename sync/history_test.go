package sync_test

import (
	"fmt"
	"math/rand"
	"path/filepath"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// A random history of commits, forced branches, deleted branches, repacking, pruning and restarts.
// After every step what was delivered last is the newest commit that there was, with its files as
// git shows them, marked as rewritten exactly when git says that it does not descend from the one
// before.
func TestHistory_Random(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		rnd := rand.New(rand.NewSource(7))
		cfg := gitsync.Config{URL: url, Dir: filepath.Join(t.TempDir(), "mirror")}
		m := open(t, cfg)
		commits := []string{repo.Commit(map[string]string{"0/f.yaml": "start"}, "start")}
		sync(t, m)
		last := next(t, m)
		for step := range 60 {
			rewound := func() string { return commits[rnd.Intn(len(commits))] }
			did := ""
			switch n := rnd.Intn(12); {
			case n < 5:
				did = "commit"
				commits = append(commits, repo.Commit(randomFiles(rnd), fmt.Sprint("commit ", step)))
			case n < 6:
				did = "force to an old commit"
				repo.PointBranch("main", rewound())
			case n < 7:
				did = "force beside an old commit"
				commits = append(commits, repo.ForceCommit(rewound(), randomFiles(rnd), fmt.Sprint("forced ", step)))
			case n < 8:
				did = "pack references"
				repo.PackRefs()
			case n < 9:
				did = "repack"
				repo.PointBranch("keep", repo.Tip()) // what is pruned cannot be forced to
				for i, c := range commits {
					repo.Git("update-ref", fmt.Sprint("refs/keep/", i), c)
				}
				repo.Repack()
			case n < 10:
				did = "delete the branch"
				tip := repo.Tip()
				repo.DeleteBranch("main")
				if err := m.Sync(t.Context()); err == nil {
					t.Fatalf("step %d: no trouble without the branch", step)
				}
				repo.PointBranch("main", tip)
			default:
				did = "restart"
				m.Close()
				m = open(t, cfg)
				c := next(t, m)
				if c.Hash != last.Hash || c.Rewritten {
					t.Fatalf("step %d: restarted with %s (rewritten %t), want %s", step, c.Hash, c.Rewritten, last.Hash)
				}
				last = c // the files of a closed mirror cannot be read
			}
			sync(t, m)
			if tip := repo.Tip(); tip != last.Hash {
				c := next(t, m)
				forced := repo.Git("merge-base", last.Hash, tip) != last.Hash
				if c.Hash != tip || c.Rewritten != forced {
					t.Fatalf("step %d, %s: got %s (rewritten %t), want %s (%t)", step, did, c.Hash, c.Rewritten, tip, forced)
				}
				last = c
			}
			nothing(t, m)
			sameFiles(t, repo, last, fmt.Sprintf("step %d, %s", step, did))
		}
	})
}

func randomFiles(rnd *rand.Rand) map[string]string {
	files := map[string]string{}
	for range rnd.Intn(4) {
		files[fmt.Sprintf("%d/%d/f.yaml", rnd.Intn(3), rnd.Intn(3))] = fmt.Sprint(rnd.Intn(5))
	}
	return files
}

// sameFiles compares a commit with what git shows of it.
func sameFiles(t *testing.T, repo *gitserver.Repo, c gitsync.Commit, when string) {
	t.Helper()
	want := map[string]bool{}
	for _, line := range strings.Split(repo.Git("ls-tree", "-r", "--format=%(objectname) %(path)", c.Hash), "\n") {
		want[line] = true
	}
	got := readAll(t, c.FS)
	if len(got) != len(want) {
		t.Fatalf("%s: %d files, want %d", when, len(got), len(want))
	}
	for name := range got {
		if !want[contentID(t, c, name)+" "+name] {
			t.Fatalf("%s: %s is not what git shows", when, name)
		}
	}
}
