package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"writ/state"
)

func TestPropose_DiskFull(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 30)
	cfg := Config{Dir: t.TempDir(), delay: time.Millisecond, free: func(string) (uint64, error) { return free.Load(), nil }}
	s := open(t, cfg)
	propose(t, s, decide(s.World(), node(), configMap(1, "a")))
	before := s.World()
	free.Store(10 << 20)
	for name, puts := range map[string][]state.Put{"small": {configMap(2, "b")}, "large": pods(3000)} {
		_, err := s.Propose(context.Background(), decide(before, puts...))
		if err == nil || !strings.Contains(err.Error(), "disk full: 10 MiB are left for "+cfg.Dir+", 64 are needed") {
			t.Errorf("%s: %v; want how much is left and needed", name, err)
		}
	}
	if s.World() != before {
		t.Error("the World moved")
	}
	propose(t, s, observed("10.0.0.1")) // what is not written goes on
	free.Store(1 << 30)
	propose(t, s, decide(s.World(), configMap(2, "b")))
	closeStore(t, s)
	free.Store(10 << 20)
	if _, err := Open(cfg, testLog(t)); err == nil || errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("Open on a full disk: %v", err)
	}
}

// Close on a full disk writes nothing: a write would kill the process. Only observations are lost.
func TestClose_DiskFull(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 30)
	writes := atomic.Int32{}
	cfg := Config{Dir: t.TempDir(), delay: time.Hour, free: func(string) (uint64, error) { return free.Load(), nil }}
	cfg.probe = func(point string) {
		if point != "chunk" {
			writes.Add(1)
		}
	}
	s := open(t, cfg)
	propose(t, s, decide(s.World(), node(), configMap(1, "a")))
	want := digest(t, s.World())
	propose(t, s, observed("10.0.0.1"))
	free.Store(10 << 20)
	before := writes.Load()
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "what was last observed is not kept: disk full") {
		t.Errorf("Close: %v; want what is lost and why", err)
	}
	if got := writes.Load(); got != before {
		t.Errorf("%d steps of writing on a full disk", got-before)
	}
	free.Store(1 << 30)
	s = open(t, cfg)
	defer closeStore(t, s)
	if got := digest(t, s.World()); got != want {
		t.Errorf("World after reopening %s, want %s", got, want)
	}
}

// The disk fills up while a large decision is on its way: nothing of it is true, before and after a restart.
func TestPropose_DiskFullWithin(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 30)
	chunks := 0
	cfg := Config{Dir: t.TempDir(), free: func(string) (uint64, error) { return free.Load(), nil }}
	cfg.probe = func(point string) {
		if point == "chunk" {
			if chunks++; chunks == ahead+10 {
				free.Store(1 << 20)
			}
		}
	}
	s := open(t, cfg)
	big := strings.Repeat("x", 100<<10)
	var puts []state.Put
	for i := range 2 * ahead {
		puts = append(puts, configMap(i, big))
	}
	if _, err := s.Propose(context.Background(), decide(s.World(), puts...)); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Fatalf("Propose: %v", err)
	}
	free.Store(1 << 30)
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	rev := propose(t, s, decide(s.World(), configMap(1, "small")))
	want := digest(t, s.World())
	if got := s.World(); got.Len() != 1 || got.Revision() != rev {
		t.Fatalf("%d records at %s", got.Len(), got.Revision())
	}
	killed := imageOf(t, s)
	closeStore(t, s)
	s = open(t, Config{Dir: killed})
	defer closeStore(t, s)
	if got := digest(t, s.World()); got != want {
		t.Errorf("World after a kill %s, want %s", got, want)
	}
}

// failing is a log on a disk that breaks.
type failing struct {
	raft.LogStore
	broken *atomic.Bool
}

func (f failing) StoreLogs(logs []*raft.Log) error {
	if f.broken.Load() {
		return fmt.Errorf("write segment: %w", syscall.ENOSPC)
	}
	return f.LogStore.StoreLogs(logs)
}

func TestPropose_LogFails(t *testing.T) {
	var broken atomic.Bool
	cfg := Config{Dir: t.TempDir(), wrapLog: func(l raft.LogStore) raft.LogStore { return failing{l, &broken} }}
	s := open(t, cfg)
	propose(t, s, decide(s.World(), node()))
	before := s.World()
	broken.Store(true)
	var wait sync.WaitGroup
	for i := range 10 {
		wait.Go(func() {
			if _, err := s.Propose(context.Background(), decide(before, configMap(i, "x"))); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Propose: %v; want the cause", err)
			}
		})
	}
	wait.Wait()
	if s.World() != before {
		t.Error("the World moved")
	}
	if err := s.Run(context.Background()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Run: %v; want the cause", err)
	}
	closeStore(t, s)
	broken.Store(false)
	s = open(t, cfg)
	defer closeStore(t, s)
	if got, want := digest(t, s.World()), digest(t, before); got != want {
		t.Errorf("World after reopening %s, want %s", got, want)
	}
	propose(t, s, decide(s.World(), configMap(1, "x")))
}
