package sync_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// The delivered commit is there again after a restart with the server away, whole and at once.
func TestRestart_WithoutServer(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		repo.Commit(map[string]string{"a/a.yaml": "1"}, "first")
		second := repo.Commit(map[string]string{"a/b.yaml": "2"}, "second")
		dir := filepath.Join(t.TempDir(), "mirror")
		m := open(t, gitsync.Config{URL: url, Dir: dir, Path: "a"})
		sync(t, m)
		before := next(t, m)
		m.Close()
		if err := os.Rename(repo.Dir, repo.Dir+".away"); err != nil {
			t.Fatal(err)
		}
		m = open(t, gitsync.Config{URL: url, Dir: dir, Path: "a"})
		c := next(t, m)
		if c.Hash != second || c.Rewritten || c.Tree != before.Tree || c.Subject != "second" {
			t.Fatalf("got %+v, want %+v", c, before)
		}
		if got := readAll(t, c.FS); len(got) != 2 || got["b.yaml"] != "2" {
			t.Fatalf("files are %q", got)
		}
		if s := m.State(); s.Delivered != second || !s.Succeeded.IsZero() {
			t.Fatalf("state is %+v", s)
		}
		if err := m.Sync(t.Context()); err == nil {
			t.Fatal("sync went well with the repository away")
		}
		nothing(t, m)
		if err := os.Rename(repo.Dir+".away", repo.Dir); err != nil {
			t.Fatal(err)
		}
		sync(t, m)
		nothing(t, m) // it is the commit in force
		third := repo.Commit(map[string]string{"a/b.yaml": "3"}, "third")
		sync(t, m)
		if c := next(t, m); c.Hash != third || c.Rewritten {
			t.Fatalf("got %s (rewritten %t), want %s", c.Hash, c.Rewritten, third)
		}
	})
}

// The branch was forced while the daemon was down.
func TestRestart_RewrittenMeanwhile(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		repo.Commit(map[string]string{"a.yaml": "1"}, "first")
		dir := filepath.Join(t.TempDir(), "mirror")
		m := open(t, gitsync.Config{URL: url, Dir: dir})
		sync(t, m)
		next(t, m)
		m.Close()
		repo.ForceCommit("", map[string]string{"a.yaml": "other"}, "other")
		m = open(t, gitsync.Config{URL: url, Dir: dir})
		if c := next(t, m); c.Subject != "first" || c.Rewritten {
			t.Fatalf("got %s (rewritten %t), want the remembered one", c.Subject, c.Rewritten)
		}
		sync(t, m)
		if c := next(t, m); c.Subject != "other" || !c.Rewritten {
			t.Fatalf("got %s (rewritten %t), want the other, rewritten", c.Subject, c.Rewritten)
		}
	})
}

// Another address or branch is configured: the old commit is not delivered as if it were from
// there, and the new one says that it does not descend from it.
func TestRestart_FollowsAnother(t *testing.T) {
	repo, other := gitserver.NewRepo(t, "config"), gitserver.NewRepo(t, "other")
	first := repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	repo.PointBranch("copy", first)
	other.Commit(map[string]string{"b.yaml": "1"}, "elsewhere")
	dir := filepath.Join(t.TempDir(), "mirror")
	m := open(t, gitsync.Config{URL: repo.Dir, Dir: dir})
	sync(t, m)
	next(t, m)
	for _, step := range []struct {
		url, ref, subject string
		rewritten         bool
	}{
		{repo.Dir, "copy", "first", false},
		{other.Dir, "main", "elsewhere", true},
		{repo.Dir, "main", "first", true},
	} {
		m.Close()
		m = open(t, gitsync.Config{URL: step.url, Ref: step.ref, Dir: dir})
		nothing(t, m)
		sync(t, m)
		if c := next(t, m); c.Subject != step.subject || c.Rewritten != step.rewritten {
			t.Fatalf("%s: got %s (rewritten %t), want %s (%t)", step.ref, c.Subject, c.Rewritten, step.subject, step.rewritten)
		}
	}
}

// What a crash can leave behind, and worse: each is made by hand, then a start must recover by
// itself and deliver the newest commit whole.
func TestRestart_Recovers(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, mirror string){
		"temporary pack": func(t *testing.T, mirror string) {
			write(t, filepath.Join(mirror, "objects/pack/tmp_pack_123"), "PACK")
		},
		"index without pack": func(t *testing.T, mirror string) {
			remove(t, glob(t, mirror, "*.pack"))
		},
		"pack without index": func(t *testing.T, mirror string) {
			remove(t, glob(t, mirror, "*.idx"))
		},
		"half an index": func(t *testing.T, mirror string) {
			truncate(t, glob(t, mirror, "*.idx"))
		},
		"empty index": func(t *testing.T, mirror string) {
			for _, f := range glob(t, mirror, "*.idx") {
				if err := os.Truncate(f, 0); err != nil {
					t.Fatal(err)
				}
			}
		},
		"half a pack": func(t *testing.T, mirror string) {
			truncate(t, glob(t, mirror, "*.pack"))
		},
		"pack without its end": func(t *testing.T, mirror string) {
			for _, f := range glob(t, mirror, "*.pack") {
				info, err := os.Stat(f)
				if err == nil {
					err = os.Truncate(f, info.Size()-25)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		},
		"reference half written": func(t *testing.T, mirror string) {
			truncate(t, references(t, mirror))
		},
		"temporary reference": func(t *testing.T, mirror string) {
			write(t, filepath.Join(mirror, "refs/writ/.tmp-1"), "abc")
		},
		"no objects": func(t *testing.T, mirror string) {
			if err := os.RemoveAll(filepath.Join(mirror, "objects")); err != nil {
				t.Fatal(err)
			}
		},
		"nothing": func(t *testing.T, mirror string) {
			if err := os.RemoveAll(mirror); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
				first := repo.Commit(map[string]string{"a/a.yaml": strings.Repeat("1", 1000), "b.yaml": "1"}, "first")
				dir := filepath.Join(t.TempDir(), "mirror")
				m := open(t, gitsync.Config{URL: url, Dir: dir})
				sync(t, m)
				next(t, m)
				m.Close()
				damage(t, filepath.Join(dir, "repository"))
				m = open(t, gitsync.Config{URL: url, Dir: dir})
				sync(t, m)
				if got := readAll(t, next(t, m).FS); len(got) != 2 || got["b.yaml"] != "1" {
					t.Fatalf("the same commit has %q", got)
				}
				nothing(t, m)
				m.Close()
				damage(t, filepath.Join(dir, "repository"))
				second := repo.Commit(map[string]string{"c.yaml": "2"}, "second")
				m = open(t, gitsync.Config{URL: url, Dir: dir})
				sync(t, m)
				c := next(t, m)
				if c.Hash == first {
					c = next(t, m)
				}
				if got := readAll(t, c.FS); c.Hash != second || len(got) != 3 || got["b.yaml"] != "1" {
					t.Fatalf("got %s with %q, want %s", c.Hash, got, second)
				}
				if got := repo.Git("-C", filepath.Join(dir, "repository"), "cat-file", "-t", second); got != "commit" {
					t.Fatalf("git finds a %s in the mirror", got)
				}
			})
		})
	}
}

// A pack that cannot be read for a reason of the machine is not thrown away: it may be all that is left.
func TestRestart_KeepsWhatCannotBeRead(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	cfg := gitsync.Config{URL: repo.Dir, Dir: filepath.Join(t.TempDir(), "mirror")}
	m := open(t, cfg)
	sync(t, m)
	next(t, m)
	m.Close()
	mirror := filepath.Join(cfg.Dir, "repository")
	index := glob(t, mirror, "*.idx")[0]
	if err := os.Rename(index, index+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(index, 0o700); err != nil { // reading it fails with EISDIR
		t.Fatal(err)
	}
	if _, err := gitsync.New(cfg, quiet()); err == nil || !strings.Contains(err.Error(), "clean mirror") {
		t.Fatalf("opened all the same: %v", err)
	}
	if packs := glob(t, mirror, "*.pack"); len(packs) != 1 {
		t.Fatalf("packs are %q, want the one there was", packs)
	}
}

// Two hundred commits: packs stay few, every commit stays readable while it is read, and what is in
// the mirror is what git calls sound.
func TestPacks_StayFew(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		dir := filepath.Join(t.TempDir(), "mirror")
		m := open(t, gitsync.Config{URL: url, Dir: dir})
		files := map[string]string{"fixed/f.yaml": "f"}
		var readers gosync.WaitGroup
		var all []gitsync.Commit
		for i := range 60 {
			files["a/a.yaml"] = fmt.Sprint(i)
			repo.Commit(files, fmt.Sprint(i))
			sync(t, m)
			c := next(t, m)
			all = append(all, c)
			readers.Go(func() {
				for range 5 {
					if got := readAll(t, c.FS); got["a/a.yaml"] != c.Subject || got["fixed/f.yaml"] != "f" {
						t.Errorf("commit %s holds %q", c.Subject, got)
					}
				}
			})
			if packs := len(glob(t, filepath.Join(dir, "repository"), "*.pack")); packs > 16 {
				t.Fatalf("%d packs after commit %d", packs, i)
			}
		}
		readers.Wait()
		for _, c := range all {
			if got := readAll(t, c.FS); got["a/a.yaml"] != c.Subject {
				t.Fatalf("commit %s holds %q", c.Subject, got)
			}
		}
		repo.Git("-C", filepath.Join(dir, "repository"), "fsck", "--strict")
		m.Close()
		m = open(t, gitsync.Config{URL: url, Dir: dir})
		if c := next(t, m); c.Subject != "59" {
			t.Fatalf("after a restart %s, want 59", c.Subject)
		}
	})
}

// A nudge makes a remote be looked at long before its interval.
func TestRun_Nudge(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	m := start(t, gitsync.Config{URL: gitserver.ServeHTTP(t, filepath.Dir(repo.Dir)).URL + "/config.git"})
	next(t, m)
	for i := range 3 {
		want := repo.Commit(map[string]string{"a.yaml": fmt.Sprint(i)}, "more")
		m.Nudge()
		m.Nudge()
		if c := next(t, m); c.Hash != want {
			t.Fatalf("got %s, want %s", c.Hash, want)
		}
	}
}

func TestNew_OneProcess(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	cfg := gitsync.Config{URL: repo.Dir, Dir: filepath.Join(t.TempDir(), "mirror")}
	m := open(t, cfg)
	if _, err := gitsync.New(cfg, quiet()); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("a second mirror in one folder: %v", err)
	}
	info, err := os.Stat(cfg.Dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("folder has mode %v, %v; want 0700", info.Mode(), err)
	}
	m.Close()
	open(t, cfg)
}

func glob(t *testing.T, mirror, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(mirror, "objects/pack", pattern))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func references(t *testing.T, mirror string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(mirror, "refs/writ/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("references %q, %v; want one", files, err)
	}
	return files
}

func remove(t *testing.T, files []string) {
	t.Helper()
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// truncate cuts files to half their length.
func truncate(t *testing.T, files []string) {
	t.Helper()
	for _, f := range files {
		info, err := os.Stat(f)
		if err == nil {
			err = os.Truncate(f, info.Size()/2)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The mirror of a local repository has no old trees. When the same repository is followed over http
// from then on, the server takes it for granted that they are there: a revert must come whole.
func TestRestart_ServerSendsOnlyPart(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	dir := filepath.Join(t.TempDir(), "mirror")
	repo.Commit(map[string]string{"a/a.yaml": "1"}, "first")
	repo.Commit(map[string]string{"a/a.yaml": "2"}, "second")
	m := open(t, gitsync.Config{URL: repo.Dir, Dir: dir})
	sync(t, m)
	next(t, m)
	m.Close()
	repo.Git("repack", "-a", "-d", "-q", "--write-bitmap-index") // makes the server exact about what is there
	repo.Commit(map[string]string{"a/a.yaml": "1"}, "revert of the second")
	m = open(t, gitsync.Config{URL: server.URL + "/config.git", Dir: dir})
	sync(t, m)
	if c := next(t, m); c.Subject != "revert of the second" || readAll(t, c.FS)["a/a.yaml"] != "1" || c.Rewritten {
		t.Fatalf("got %s (rewritten %t) with %q", c.Subject, c.Rewritten, readAll(t, c.FS))
	}
}
