package store

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// A checkpoint that would cut a decision in two is put off without a word.
func TestCheckpoint_WithinADecision(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	defer closeStore(t, s)
	run(t, s, 3)
	within := func(is bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.within = is
	}
	within(true)
	if err := s.checkpoint(); err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	if at, err := s.journal.checkpoint(); at != nil || err != nil {
		t.Errorf("a checkpoint was made: %v, %v", at, err)
	}
	within(false)
	if err := s.checkpoint(); err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	if at, err := s.journal.checkpoint(); at == nil || err != nil {
		t.Errorf("no checkpoint was made: %v", err)
	}
}

// An attempt to write that fails before the head moves leaves nothing that a later head would find.
func TestStore_WriteFailsHalfway(t *testing.T) {
	for _, point := range []string{"head", "after head"} {
		broken := false
		cfg := Config{Dir: t.TempDir(), delay: time.Hour}
		cfg.fault = func(at string) error {
			if broken && at == point {
				return syscall.EIO
			}
			return nil
		}
		s := open(t, cfg)
		propose(t, s, decide(s.World(), configMap(1, "stays")))
		broken = true
		propose(t, s, decide(s.World(), configMap(2, "comes and goes")))
		if err := s.flush(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("flush: %v", err)
		}
		broken = false
		b := decide(s.World())
		b.Deletes = []state.Delete{{Ref: manifest.ConfigMapRef("default", "cm-000002")}}
		propose(t, s, b)
		if err := s.checkpoint(); err != nil {
			t.Fatal(err)
		}
		want := digest(t, s.World())
		closeStore(t, s)
		s = open(t, cfg)
		if got := digest(t, s.World()); got != want {
			t.Errorf("failed before %q: World after reopening %s, want %s", point, got, want)
		}
		closeStore(t, s)
	}
}

// What is replaced is removed from disk, and the log does not grow for ever.
func TestStore_DoesNotGrow(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), delay: time.Hour}
	s := open(t, cfg)
	status := func(i int) *appsv1.DeploymentStatus { return &appsv1.DeploymentStatus{ObservedGeneration: int64(i)} }
	ref := manifest.DeploymentRef("default", "web")
	propose(t, s, decide(s.World(), state.Put{Ref: ref, Origin: state.Derived, Object: &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}}))
	for i := range 50 {
		b := decide(s.World(), configMap(1, fmt.Sprint(i)), configMap(2+i, "comes"), state.Put{Ref: ref, Status: status(i)})
		if i > 0 {
			b.Deletes = []state.Delete{{Ref: manifest.ConfigMapRef("default", fmt.Sprintf("cm-%06d", 1+i))}}
		}
		b.Adopt = &state.Adoption{Commit: fmt.Sprint(i)}
		propose(t, s, b)
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 { // what was removed leaves a marker until the second
		propose(t, s, decide(s.World(), configMap(1, fmt.Sprint("checkpoint ", i))))
		if err := s.checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := s.journal.files.FirstIndex()
	last, _ := s.journal.files.LastIndex()
	if last-first > 2 {
		t.Errorf("the log holds entries %d to %d after a checkpoint", first, last)
	}
	closeStore(t, s)
	if kept := lose(t, cfg.Dir, func(state.Revision) bool { return false }); kept != 0 {
		t.Fatal("lose removed something")
	}
	count := 0
	lose(t, cfg.Dir, func(state.Revision) bool { count++; return false })
	if want := s.World().Len(); count != want {
		t.Errorf("%d versions on disk for %d records", count, want)
	}
}
