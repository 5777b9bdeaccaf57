package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

func node() state.Put {
	return state.Put{Ref: manifest.NodeRef("n"), Origin: state.Derived, Object: &corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: "n"}}}
}

func observed(ip string) state.Batch {
	return state.Batch{Writer: state.NodeWriter("n"), Puts: []state.Put{{Ref: manifest.NodeRef("n"),
		Status: &corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}}}}}
}

func address(w *state.World) string {
	status, ok := w.Get(manifest.NodeRef("n")).Status.(*corev1.NodeStatus)
	if !ok {
		return ""
	}
	return status.Addresses[0].Address
}

func TestPropose_Observation(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), delay: time.Hour}
	s := open(t, cfg)
	propose(t, s, decide(s.World(), node()))
	last, err := s.journal.files.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	rev := propose(t, s, observed("10.0.0.1"))
	if got := s.World(); got.Revision() != rev || address(got) != "10.0.0.1" {
		t.Errorf("World at %s with %q, want %s with the address", got.Revision(), address(got), rev)
	}
	if now, err := s.journal.files.LastIndex(); err != nil || now != last {
		t.Errorf("the log grew from %d to %d by an observation", last, now)
	}
	killed := imageOf(t, s)
	closeStore(t, s)
	for dir, want := range map[string]string{cfg.Dir: "10.0.0.1", killed: ""} { // a kill may lose it, an end does not
		s := open(t, Config{Dir: dir})
		if got := address(s.World()); got != want {
			t.Errorf("address after reopening %q, want %q", got, want)
		}
		closeStore(t, s)
	}
}

func TestPropose_NothingChanges(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	defer closeStore(t, s)
	at := s.World().Revision()
	gone := state.Batch{Writer: state.NodeWriter("n"), Puts: []state.Put{{Ref: manifest.PodRef("a", "gone"), Status: &corev1.PodStatus{}}}}
	if got := propose(t, s, gone); got != at || s.World().Revision() != at {
		t.Errorf("revision %s, World %s; want %s for both", got, s.World().Revision(), at)
	}
	adopt := decide(s.World())
	adopt.Adopt = &state.Adoption{Commit: "c1"}
	if got := propose(t, s, adopt); got == at || s.World().Adopted().Commit != "c1" {
		t.Errorf("an adoption without objects: revision %s, adopted %q", got, s.World().Adopted().Commit)
	}
}

func TestPropose_Refusals(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	before := s.World()
	b := decide(before, configMap(1, "x"))
	b.Commit = "another"
	if _, err := s.Propose(context.Background(), b); !errors.Is(err, state.ErrMoved) {
		t.Errorf("Batch on another commit: %v, want ErrMoved", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Propose(ended, decide(before, configMap(1, "x"))); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if s.World() != before {
		t.Error("a refused Batch moved the World")
	}
	closeStore(t, s)
	if _, err := s.Propose(context.Background(), decide(before, configMap(1, "x"))); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Run(context.Background()); !errors.Is(err, errClosed) {
		t.Errorf("Run after Close: %v", err)
	}
}

// Many writers at once: every Batch has its own revision, every reader sees every change once and in
// order, and the changes lead to the World.
func TestPropose_Together(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), delay: time.Millisecond, checkpoint: 64 << 10}
	s := open(t, cfg)
	propose(t, s, decide(s.World(), node()))
	const writers, each = 8, 60
	from := s.World()
	seen := make(chan *state.World)
	go func() { seen <- follow(s, from, writers*each) }()
	var revisions sync.Map
	var wait sync.WaitGroup
	for n := range writers {
		wait.Go(func() {
			for i := range each {
				b := observed(fmt.Sprint("10.0.", n, ".", i))
				if n%4 != 0 {
					b = decide(s.World(), configMap(n*each+i, "x"))
				}
				rev, err := s.Propose(context.Background(), b)
				if err != nil {
					t.Error(err)
					return
				}
				if _, twice := revisions.LoadOrStore(rev, true); twice {
					t.Errorf("revision %s was given twice", rev)
				}
				if s.World().Revision() < rev {
					t.Errorf("World at %s after Propose answered %s", s.World().Revision(), rev)
				}
			}
		})
	}
	wait.Wait()
	got := <-seen
	want := s.World()
	if digest(t, got) != digest(t, want) {
		t.Errorf("following the changes leads to %s, want %s", digest(t, got), digest(t, want))
	}
	closeStore(t, s)
	s = open(t, cfg)
	defer closeStore(t, s)
	if got := digest(t, s.World()); got != digest(t, want) {
		t.Errorf("World after reopening %s, want %s", got, digest(t, want))
	}
}

// follow makes the World again from the changes, until so many Batches were seen.
func follow(s *Store, w *state.World, batches int) *state.World {
	for batches > 0 {
		<-s.Changed(w.Revision())
		changes, to, ok := s.Since(w.Revision())
		if !ok {
			return to
		}
		for len(changes) > 0 {
			n := 1
			for n < len(changes) && changes[n].Revision == changes[0].Revision {
				n++
			}
			for _, c := range changes[:n] {
				if w.Get(c.Ref) != c.Old {
					panic("a change was missed: " + c.Ref.String())
				}
			}
			w = state.Replay(w, changes[:n], nil, changes[0].Revision)
			changes = changes[n:]
			batches--
		}
	}
	return w
}

func TestSince(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Recent: 12 << 10}
	s := open(t, cfg)
	first := s.World().Revision()
	if changes, w, ok := s.Since(first); !ok || len(changes) != 0 || w != s.World() {
		t.Errorf("Since(now): %v, %v", changes, ok)
	}
	one := propose(t, s, decide(s.World(), configMap(1, "a")))
	two := propose(t, s, decide(s.World(), configMap(1, "b")))
	if changes, _, ok := s.Since(one); !ok || len(changes) != 1 || changes[0].Revision != two {
		t.Errorf("Since(one): %v, %v; want the second", changes, ok)
	}
	for rev, what := range map[state.Revision]string{0: "no revision", first - 1: "an older epoch", two + 1: "another store", state.FirstOf(9): "a later epoch"} {
		if _, w, ok := s.Since(rev); ok || w != s.World() {
			t.Errorf("Since(%s), %s: ok", rev, what)
		}
	}
	big := strings.Repeat("x", 5<<10)
	for i := range 4 {
		propose(t, s, decide(s.World(), configMap(1, fmt.Sprint(i, big))))
	}
	if _, _, ok := s.Since(one); ok {
		t.Error("the ring holds more than it may")
	}
	if changes, _, ok := s.Since(s.World().Revision() - 1); !ok || len(changes) != 1 {
		t.Errorf("the last change: %v, %v", changes, ok)
	}
	old := s.World().Revision()
	closeStore(t, s)
	s = open(t, cfg)
	defer closeStore(t, s)
	if _, _, ok := s.Since(old); ok {
		t.Error("a revision of the last epoch was known")
	}
}

func TestChanged(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	defer closeStore(t, s)
	now := s.World().Revision()
	c := s.Changed(now)
	select {
	case <-c:
		t.Fatal("closed before anything changed")
	case <-s.Changed(now - 1):
	}
	propose(t, s, decide(s.World(), configMap(1, "a")))
	<-c
}

// A context ends the waiting for one's turn.
func TestPropose_WaitsAsLongAsItsContext(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	defer closeStore(t, s)
	before := s.World()
	s.proposing <- struct{}{} // somebody else's turn
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := s.Propose(ctx, decide(before, configMap(1, "x"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Propose: %v", err)
	}
	s.proposing.give()
	if s.World() != before {
		t.Error("the World moved")
	}
}
