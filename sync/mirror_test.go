package sync_test

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// patience is how long a test waits for something that should happen at once.
const patience = 20 * time.Second

// open makes a mirror that closes with the test. Dir, Ref and Interval have defaults.
func open(t testing.TB, cfg gitsync.Config) *gitsync.Mirror {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "mirror")
	}
	if cfg.Ref == "" {
		cfg.Ref = "main"
	}
	if cfg.Interval == 0 {
		cfg.Interval = time.Hour
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = patience
	}
	m, err := gitsync.New(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// start runs a mirror until the test ends.
func start(t testing.TB, cfg gitsync.Config) *gitsync.Mirror {
	t.Helper()
	m := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return m
}

// next waits for a commit.
func next(t testing.TB, m *gitsync.Mirror) gitsync.Commit {
	t.Helper()
	select {
	case c := <-m.Commits():
		return c
	case <-time.After(patience):
		t.Fatalf("no commit came; state %+v trouble %+v", m.State(), m.State().Trouble)
	}
	panic("unreachable")
}

// nothing checks that no commit is waiting.
func nothing(t testing.TB, m *gitsync.Mirror) {
	t.Helper()
	select {
	case c := <-m.Commits():
		t.Fatalf("commit %s (%s) came, want none", c.Hash, c.Subject)
	default:
	}
}

// sync looks now and fails the test on trouble.
func sync(t testing.TB, m *gitsync.Mirror) {
	t.Helper()
	if err := m.Sync(t.Context()); err != nil {
		t.Fatalf("sync: %v", err)
	}
}

func TestHTTP_FollowsBranch(t *testing.T) {
	repo := gitserver.NewRepo(t, "my config ü")
	first := repo.Commit(map[string]string{"a/one.yaml": "1", "b/two.yaml": "2"}, "first")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	m := open(t, gitsync.Config{URL: server.URL + "/my%20config%20%C3%BC.git"})
	sync(t, m)
	c := next(t, m)
	if c.Hash != first || c.Subject != "first" || c.Author != "Tess Ter" || c.Email != "tess@example.org" {
		t.Fatalf("got %+v, want commit %s", c, first)
	}
	if err := fstest.TestFS(c.FS, "a/one.yaml", "b/two.yaml"); err != nil {
		t.Fatal(err)
	}
	second := repo.Commit(map[string]string{"a/one.yaml": "one"}, "second\n\nWhy: because\n")
	sync(t, m)
	if c = next(t, m); c.Hash != second || c.Rewritten || c.Parents[0] != first {
		t.Fatalf("got %+v, want commit %s", c, second)
	}
	if got, err := fs.ReadFile(c.FS, "a/one.yaml"); err != nil || string(got) != "one" {
		t.Fatalf("a/one.yaml is %q, %v; want one", got, err)
	}
}

func TestLocal_FollowsBranch(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	first := repo.Commit(map[string]string{"a/one.yaml": "1", "b/two.yaml": "2"}, "first")
	m := start(t, gitsync.Config{URL: repo.Dir})
	if c := next(t, m); c.Hash != first {
		t.Fatalf("got %s, want %s", c.Hash, first)
	}
	second := repo.Commit(map[string]string{"a/one.yaml": "one"}, "second")
	c := next(t, m)
	if c.Hash != second {
		t.Fatalf("got %s, want %s", c.Hash, second)
	}
	if err := fstest.TestFS(c.FS, "a/one.yaml", "b/two.yaml"); err != nil {
		t.Fatal(err)
	}
}
