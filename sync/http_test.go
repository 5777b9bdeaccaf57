package sync_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

func TestHTTP_Certificate(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	server := gitserver.ServeTLS(t, filepath.Dir(repo.Dir))
	url := server.URL + "/config.git"
	troubled(t, open(t, gitsync.Config{URL: url}), gitsync.Identity, "is not trusted")
	troubled(t, open(t, gitsync.Config{URL: url, CAFile: "/nowhere/ca.pem"}), gitsync.Identity, "read the certificate file")
	troubled(t, open(t, gitsync.Config{URL: url, CAFile: filepath.Join(repo.Dir, "HEAD")}), gitsync.Identity, "no certificate in")
	m := open(t, gitsync.Config{URL: url, CAFile: server.CAFile})
	sync(t, m)
	next(t, m)
}

// A password is used from its file or from the address, can be rotated, and shows up nowhere.
func TestHTTP_Login(t *testing.T) {
	const secret = "s3cr3t-t0ken"
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir), gitserver.WithLogin("git", secret))
	url := server.URL + "/config.git"
	withLogin := func(login string) string { return strings.Replace(url, "://", "://"+login+"@", 1) }
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, secret+"\n")

	log := &safeBuffer{}
	logged := func(cfg gitsync.Config) *gitsync.Mirror {
		cfg.Dir = filepath.Join(t.TempDir(), "mirror")
		cfg.Ref = "main"
		m, err := gitsync.New(cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	for name, cfg := range map[string]gitsync.Config{
		"file":            {URL: url, Credentials: gitsync.Credentials{PasswordFile: file}},
		"address":         {URL: withLogin("git:" + secret)},
		"file wins":       {URL: withLogin("git:wrong"), Credentials: gitsync.Credentials{PasswordFile: file}},
		"user and file":   {URL: withLogin("git"), Credentials: gitsync.Credentials{Username: "somebody", PasswordFile: file}},
		"user in setting": {URL: url, Credentials: gitsync.Credentials{Username: "git", PasswordFile: file}},
	} {
		t.Run(name, func(t *testing.T) {
			m := logged(cfg)
			sync(t, m)
			next(t, m)
		})
	}
	for name, cfg := range map[string]gitsync.Config{
		"none":              {URL: url},
		"wrong":             {URL: withLogin("git:" + secret + "x")},
		"wrong user":        {URL: url, Credentials: gitsync.Credentials{Username: "x", PasswordFile: file}},
		"token as the user": {URL: withLogin(secret)},
		"no file":           {URL: url, Credentials: gitsync.Credentials{PasswordFile: "/nowhere/token"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := logged(cfg)
			troubled(t, m, gitsync.Login, "")
			if s := m.State(); strings.Contains(fmt.Sprint(s, s.Trouble), secret) {
				t.Fatalf("state tells the password: %+v %+v", s, s.Trouble)
			}
		})
	}
	t.Run("rotated", func(t *testing.T) {
		rotating := filepath.Join(t.TempDir(), "token")
		write(t, rotating, "old")
		m := logged(gitsync.Config{URL: url, Credentials: gitsync.Credentials{PasswordFile: rotating}})
		troubled(t, m, gitsync.Login, "does not accept the credentials")
		write(t, rotating, secret)
		sync(t, m)
		next(t, m)
	})
	if got := log.String(); strings.Contains(got, secret) || !strings.Contains(got, "commit delivered") {
		t.Fatalf("log tells the password, or nothing:\n%s", got)
	}
	kept := filepath.Join(t.TempDir(), "mirror")
	m := open(t, gitsync.Config{URL: withLogin("git:" + secret), Dir: kept})
	sync(t, m)
	err := filepath.WalkDir(kept, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s holds the password", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHTTP_ServerTrouble(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	m := open(t, gitsync.Config{URL: server.URL + "/config.git", Timeout: 300 * time.Millisecond})
	sync(t, m)
	c := next(t, m)

	server.Fail()
	troubled(t, m, gitsync.Unreachable, "503")
	server.Hang()
	troubled(t, m, gitsync.Unreachable, "does not answer in time")
	if got := readAll(t, c.FS); got["a.yaml"] != "1" {
		t.Fatalf("the commit in force holds %q", got)
	}
	server.Serve()
	second := repo.Commit(map[string]string{"a.yaml": "2"}, "second")
	sync(t, m)
	if got := next(t, m); got.Hash != second {
		t.Fatalf("got %s, want %s", got.Hash, second)
	}
	if s := m.State(); s.Trouble != nil || s.Succeeded.Before(s.Checked) {
		t.Fatalf("state is %+v after all is well", s)
	}
	troubled(t, open(t, gitsync.Config{URL: server.URL + "/nothing.git"}), gitsync.NotFound, "is not found there")
	troubled(t, open(t, gitsync.Config{URL: "http://127.0.0.1:1/config.git"}), gitsync.Unreachable, "cannot be reached")
}

// A look that finds nothing new is one request.
func TestHTTP_NoChange(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	repo.Tag("release", repo.Tip(), "an annotated tag")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	for _, ref := range []string{"main", "release", "HEAD", repo.Tip()} {
		m := open(t, gitsync.Config{URL: server.URL + "/config.git", Ref: ref})
		sync(t, m)
		next(t, m)
		before := server.Requests()
		sync(t, m)
		nothing(t, m)
		if got := server.Requests() - before; got != 1 {
			t.Errorf("%s: a look without change took %d requests, want 1", ref, got)
		}
	}
}

// Polling notices a commit without being asked, and a server that comes back.
func TestHTTP_Poll(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1"}, "first")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	server.Fail()
	m := start(t, gitsync.Config{URL: server.URL + "/config.git", Interval: 20 * time.Millisecond})
	troubled(t, m, gitsync.Unreachable, "503")
	server.Serve()
	next(t, m)
	second := repo.Commit(map[string]string{"a.yaml": "2"}, "second")
	if c := next(t, m); c.Hash != second {
		t.Fatalf("got %s, want %s", c.Hash, second)
	}
}

func TestHTTP_TooLarge(t *testing.T) {
	noise := make([]byte, 300_000)
	rand.New(rand.NewSource(1)).Read(noise)
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"a.yaml": "1", "noise": string(noise)}, "first")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	url := server.URL + "/config.git"
	troubled(t, open(t, gitsync.Config{URL: url, MaxPack: 200_000}), gitsync.TooLarge, "more than the 200000 bytes allowed")

	m := open(t, gitsync.Config{URL: url, MaxFile: 100_000})
	sync(t, m)
	c := next(t, m)
	if _, err := c.FS.Open("noise"); err == nil || !strings.Contains(err.Error(), "300000 bytes are more than the 100000") {
		t.Fatalf("opening a large file: %v", err)
	}
}

func TestHTTP_ContextEnds(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	server.Hang()
	m := open(t, gitsync.Config{URL: server.URL + "/config.git"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Sync(ctx); err != context.Canceled {
		t.Fatalf("sync: %v, want context canceled", err)
	}
	if s := m.State(); s.Trouble != nil {
		t.Fatalf("an ended context is no trouble: %+v", s.Trouble)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

type safeBuffer struct {
	mu gosync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
