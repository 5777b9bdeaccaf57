package store

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func testLog(testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg, testLog(t))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func configMap(i int, value string) state.Put {
	name := fmt.Sprintf("cm-%06d", i)
	return state.Put{
		Ref: manifest.ConfigMapRef("default", name), Origin: state.Derived,
		Object: &corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Data:       map[string]string{"value": value},
		},
	}
}

func decide(w *state.World, puts ...state.Put) state.Batch {
	return state.Batch{Writer: state.WriterReconcile, Base: w.Revision(), Now: now, Puts: puts}
}

func propose(t testing.TB, s *Store, b state.Batch) state.Revision {
	t.Helper()
	rev, err := s.Propose(context.Background(), b)
	if err != nil {
		t.Fatalf("Propose: %v", err)
	}
	return rev
}

func TestStore_ComesBack(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	if got, want := s.World().Revision(), state.FirstOf(1); got != want {
		t.Fatalf("first revision %s, want %s", got, want)
	}
	rev := propose(t, s, decide(s.World(), configMap(1, "one")))
	if got := s.World().Revision(); got != rev {
		t.Fatalf("published %s, proposed %s", got, rev)
	}
	closeStore(t, s)
	before := s.World()
	s = open(t, cfg)
	defer closeStore(t, s)
	if got, want := s.World().Revision(), state.FirstOf(2); got != want {
		t.Errorf("revision after reopening %s, want %s", got, want)
	}
	if got, want := digest(t, s.World()), digest(t, before); got != want {
		t.Errorf("World after reopening\n%s\nwant\n%s", got, want)
	}
}

func BenchmarkPropose(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	defer closeStore(b, s)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		propose(b, s, decide(s.World(), configMap(i%1000, fmt.Sprint(i))))
	}
}

func BenchmarkProposeTogether(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	defer closeStore(b, s)
	b.SetParallelism(32)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			if _, err := s.Propose(context.Background(), decide(s.World(), configMap(i%1000, fmt.Sprint(i)))); err != nil {
				b.Error(err)
			}
		}
	})
}
