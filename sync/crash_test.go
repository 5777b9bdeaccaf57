package sync_test

import (
	"context"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// crashEnv holds URL and folder for a child process that follows until it is killed.
const crashEnv = "SYNC_TEST_FOLLOW"

// TestMain runs the tests, or is the child process of one.
func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) == "" {
		os.Exit(m.Run())
	}
	mirror, err := gitsync.New(gitsync.Config{URL: os.Getenv(crashEnv), Ref: "main", Dir: os.Args[1]}, quiet())
	if err != nil {
		panic(err)
	}
	if err := mirror.Sync(context.Background()); err != nil {
		panic(err)
	}
}

// kill -9 at some byte of a first and of a later download: the next start recovers by itself, shows
// the last whole commit with the server away, and follows on.
func TestCrash_KilledWhileFetching(t *testing.T) {
	noise := make([]byte, 200_000)
	rand.New(rand.NewSource(1)).Read(noise)
	for _, after := range []int64{0, 5, 100, 50_000, 150_000} {
		repo := gitserver.NewRepo(t, "config")
		server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
		url := server.URL + "/config.git"
		dir := filepath.Join(t.TempDir(), "mirror")

		repo.Commit(map[string]string{"a.yaml": "1", "noise": string(noise)}, "first")
		killAt(t, server.StallNextPack(after), url, dir)
		m := open(t, gitsync.Config{URL: url, Dir: dir})
		nothing(t, m)
		sync(t, m)
		next(t, m)
		m.Close()

		repo.Commit(map[string]string{"b.yaml": "2", "noise": string(noise[1:])}, "second")
		killAt(t, server.StallNextPack(after), url, dir)
		server.Fail()
		m = open(t, gitsync.Config{URL: url, Dir: dir})
		if got := readAll(t, next(t, m).FS); len(got) != 2 || got["noise"] != string(noise) {
			t.Fatalf("killed after %d bytes: the last commit holds %d files", after, len(got))
		}
		server.Serve()
		sync(t, m)
		if got := readAll(t, next(t, m).FS); len(got) != 3 || got["noise"] != string(noise[1:]) {
			t.Fatalf("killed after %d bytes: the new commit holds %d files", after, len(got))
		}
		m.Close()
		left, err := filepath.Glob(filepath.Join(dir, "repository", "objects", "pack", "tmp_*"))
		if err != nil || len(left) > 0 {
			t.Fatalf("killed after %d bytes: left behind %q, %v", after, left, err)
		}
	}
}

// A server that dies in the middle is trouble, and the same mirror goes on when it is back.
func TestCrash_ServerStopsInTheMiddle(t *testing.T) {
	noise := make([]byte, 200_000)
	rand.New(rand.NewSource(1)).Read(noise)
	repo := gitserver.NewRepo(t, "config")
	repo.Commit(map[string]string{"noise": string(noise)}, "first")
	server := gitserver.ServeHTTP(t, filepath.Dir(repo.Dir))
	m := open(t, gitsync.Config{URL: server.URL + "/config.git", Timeout: 300 * time.Millisecond})
	server.StallNextPack(100_000)
	troubled(t, m, gitsync.Unreachable, "does not answer in time")
	if s := m.State(); s.Newest != repo.Tip() || s.Delivered != "" {
		t.Fatalf("state is %+v, want the newest commit seen and none delivered", s)
	}
	sync(t, m)
	next(t, m)
}

// killAt runs a child that follows url and kills it when reached closes.
func killAt(t *testing.T, reached <-chan struct{}, url, dir string) {
	t.Helper()
	child := exec.Command(os.Args[0], dir)
	child.Env = append(os.Environ(), crashEnv+"="+url)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-time.After(patience):
		t.Error("the child asked for nothing")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
}
