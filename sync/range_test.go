package sync_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
	"writ/sync/signature"
)

// Random histories with merges and with clocks that are wrong, half of the commits unsigned: a commit is
// taken exactly when git lists no unsigned one between it and what is in force, and when it descends from
// that.
func TestTrust_RandomHistories(t *testing.T) {
	ann := gitserver.NewSSHSigner(t, "ann")
	trusted := trusting(t, "", "ann "+ann.Public)
	for seed := range int64(2) {
		rnd := rand.New(rand.NewSource(seed))
		repo := gitserver.NewRepo(t, "config")
		tree := repo.Git("rev-parse", repo.CommitSigned(ann, map[string]string{"a": "1"}, "start")+"^{tree}")
		commits, signed := []string{repo.Tip()}, map[string]bool{repo.Tip(): true}
		for i := range 25 {
			recent := func() string { return commits[len(commits)-1-rnd.Intn(min(4, len(commits)))] }
			parents := []string{recent()}
			if p := recent(); rnd.Intn(3) == 0 && p != parents[0] {
				parents = append(parents, p)
			}
			repo.Skip(rnd.Intn(60) - 30)
			made := ""
			if good := rnd.Intn(4) > 0; good {
				made = repo.CommitTreeSigned(ann, tree, fmt.Sprint(i), parents...)
				signed[made] = true
			} else {
				made = repo.CommitTree(tree, fmt.Sprint(i), parents...)
			}
			commits = append(commits, made)
		}
		taken := 0
		for range 40 {
			base, tip := commits[rnd.Intn(len(commits))], commits[rnd.Intn(len(commits))]
			repo.PointBranch("main", tip)
			m := open(t, gitsync.Config{URL: repo.Dir, Trust: gitsync.Trust{Files: trusted, Adopted: func() string { return base }}})
			want := base == tip || strings.Contains(repo.Git("rev-list", tip)+"\n", base+"\n")
			for _, c := range strings.Fields(repo.Git("rev-list", base+".."+tip)) {
				want = want && signed[c]
			}
			err := m.Sync(t.Context())
			if (err == nil) != want {
				t.Errorf("seed %d: %s after %s: %v, want it taken: %t", seed, tip, base, err, want)
			}
			if err == nil {
				taken++
			}
			m.Close()
		}
		if taken == 0 || taken == 40 {
			t.Errorf("seed %d: %d of 40 were taken: the test tells nothing", seed, taken)
		}
	}
}

// A signer with a scope merges random histories of two others: what git merges without a conflict is
// taken, and any other tree is not.
func TestTrust_RandomMerges(t *testing.T) {
	ann, shop := gitserver.NewSSHSigner(t, "ann"), gitserver.NewSSHSigner(t, "shop")
	trusted := trusting(t, "", "ann "+ann.Public)
	scopes := func() []signature.Scope { return []signature.Scope{{Path: "shop/", Keys: []string{shop.Public}}} }
	for seed := range int64(3) {
		rnd := rand.New(rand.NewSource(seed))
		repo := gitserver.NewRepo(t, "config")
		write := func(dir string) map[string]string {
			return map[string]string{fmt.Sprintf("%s/%d/f", dir, rnd.Intn(3)): fmt.Sprint(rnd.Int())}
		}
		base := repo.CommitSigned(ann, map[string]string{"shop/0/f": "0", "other/0/f": "0", "other/1/f": "1", "more/0/f": "2"}, "base")
		for range 1 + rnd.Intn(3) {
			repo.CommitSigned(ann, write("other"), "trunk")
		}
		trunk := repo.Tip()
		repo.PointBranch("main", base)
		for range 1 + rnd.Intn(3) {
			repo.CommitSigned(ann, write("more"), "side")
		}
		side := repo.Tip()
		merged := repo.Git("merge-tree", "--write-tree", trunk, side)
		repo.PointBranch("scratch", trunk)
		repo.Branch = "scratch"
		evil := repo.Git("rev-parse", repo.Commit(write("more"), "evil")+"^{tree}")
		repo.Branch = "main"
		for tree, want := range map[string]bool{
			merged: true, repo.Git("rev-parse", trunk+"^{tree}"): false, repo.Git("rev-parse", side+"^{tree}"): false, evil: false,
		} {
			for _, parents := range [][]string{{trunk, side}, {side, trunk}} {
				repo.CommitTreeSigned(shop, tree, "merge", parents...)
				m := open(t, gitsync.Config{URL: repo.Dir, Trust: gitsync.Trust{Files: trusted, Adopted: func() string { return base }, Scopes: scopes}})
				if err := m.Sync(t.Context()); (err == nil) != want {
					t.Errorf("seed %d: tree %s of %q: %v, want it taken: %t", seed, tree, parents, err, want)
				}
				m.Close()
			}
		}
	}
}
