package sync_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// tenThousand is a repository of 10,000 manifests in 100 folders and changes one of them n times,
// on a branch of its own; it returns the hashes of the changes.
func tenThousand(b *testing.B, n int) (*gitserver.Repo, []string) {
	b.Helper()
	repo := gitserver.NewRepo(b, "config")
	files := map[string]string{}
	for i := range 10_000 {
		files[fmt.Sprintf("team-%02d/app-%02d.yaml", i/100, i%100)] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-%d\ndata:\n  text: %0300d\n", i, i)
	}
	first := repo.Commit(files, "first")
	repo.Repack()
	repo.PointBranch("ahead", first)
	repo.Branch = "ahead"
	changes := make([]string, n)
	for i := range changes {
		changes[i] = repo.Commit(map[string]string{"team-42/app-42.yaml": fmt.Sprint("change ", i)}, "change")
	}
	return repo, changes
}

// point moves a branch as git does, by renaming a new file over the old one, but in microseconds.
func point(b *testing.B, repo *gitserver.Repo, commit string) {
	b.Helper()
	ref := filepath.Join(repo.Dir, "refs", "heads", "main")
	if err := os.WriteFile(ref+".lock", []byte(commit+"\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(ref+".lock", ref); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLocalDelivery is the time from a moved branch of a local repository to the commit.
func BenchmarkLocalDelivery(b *testing.B) {
	repo, changes := tenThousand(b, 200)
	m := start(b, gitsync.Config{URL: repo.Dir})
	next(b, m)
	i := 0
	for b.Loop() {
		point(b, repo, changes[i%len(changes)])
		next(b, m)
		i++
		b.StopTimer()
		sync(b, m) // waits until it is idle again
		b.StartTimer()
	}
}

// BenchmarkHTTPFetch is one look at a server that has a commit of one changed file.
func BenchmarkHTTPFetch(b *testing.B) {
	repo, changes := tenThousand(b, 200)
	server := gitserver.ServeHTTP(b, filepath.Dir(repo.Dir))
	m := open(b, gitsync.Config{URL: server.URL + "/config.git"})
	sync(b, m)
	next(b, m)
	i := 0
	for b.Loop() {
		if i == len(changes) {
			b.Skip("more rounds than changes")
		}
		point(b, repo, changes[i])
		sync(b, m)
		next(b, m)
		i++
	}
}

// BenchmarkHTTPNoChange is one look at a server that has nothing new.
func BenchmarkHTTPNoChange(b *testing.B) {
	repo, _ := tenThousand(b, 0)
	server := gitserver.ServeHTTP(b, filepath.Dir(repo.Dir))
	m := open(b, gitsync.Config{URL: server.URL + "/config.git"})
	sync(b, m)
	for b.Loop() {
		sync(b, m)
	}
}

// BenchmarkFirstCopy is the first look at 10,000 files, and reading them all.
func BenchmarkFirstCopy(b *testing.B) {
	repo, _ := tenThousand(b, 0)
	server := gitserver.ServeHTTP(b, filepath.Dir(repo.Dir))
	for name, url := range map[string]string{"local": repo.Dir, "http": server.URL + "/config.git"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m := open(b, gitsync.Config{URL: url})
				sync(b, m)
				next(b, m)
			}
		})
		b.Run(name+"/read", func(b *testing.B) {
			m := open(b, gitsync.Config{URL: url})
			sync(b, m)
			c := next(b, m)
			for b.Loop() {
				readAll(b, c.FS)
			}
		})
	}
}

func readAll(tb testing.TB, tree fs.FS) map[string]string {
	tb.Helper()
	all := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := fs.ReadFile(tree, name)
		all[name] = string(data)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}
