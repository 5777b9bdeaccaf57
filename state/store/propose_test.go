package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	appsv1 "k8s.io/api/apps/v1"
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
	killed := image(t, cfg.Dir)
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
	cfg := Config{Dir: t.TempDir(), Recent: 8 << 10}
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

func TestOpen_Twice(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	defer closeStore(t, s)
	for what, try := range map[string]func() error{
		"Open":    func() error { _, err := Open(cfg, testLog(t)); return err },
		"Rebuild": func() error { _, err := Rebuild(cfg.Dir); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("is in use by process %d", os.Getpid())) {
			t.Errorf("%s of an open store: %v; want the process that has it", what, err)
		}
	}
	propose(t, s, decide(s.World(), configMap(1, "still there")))
}

func TestOpen_LaterFormat(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	id := s.identity
	closeStore(t, s)
	id.Format = format + 1
	if err := id.write(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	_, err := Open(cfg, testLog(t))
	if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "has format 2, this version of writ knows formats up to 1") {
		t.Errorf("Open: %v", err)
	}
}

func TestRebuild_KeepsCluster(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	want := s.World().Cluster()
	propose(t, s, decide(s.World(), configMap(1, "a")))
	closeStore(t, s)
	id, err := Rebuild(cfg.Dir)
	if err != nil || id != want {
		t.Fatalf("Rebuild: %s, %v; want %s", id, err, want)
	}
	cfg.Cluster = id
	s = open(t, cfg)
	defer closeStore(t, s)
	if s.World().Cluster() != want || s.World().Len() != 0 {
		t.Errorf("cluster %s with %d records, want %s with none", s.World().Cluster(), s.World().Len(), want)
	}
}

func TestOpen_UnfinishedBirth(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	id := s.identity
	closeStore(t, s)
	id.Made = false // as if killed before the first Open had returned
	if err := id.write(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.Dir, logDir)); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	defer closeStore(t, s)
	if got := s.World(); got.Revision() != state.FirstOf(1) || got.Cluster() != id.Cluster {
		t.Errorf("World at %s of cluster %s", got.Revision(), got.Cluster())
	}
}

func TestStore_IsClosedToOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, Config{Dir: dir})
	propose(t, s, decide(s.World(), configMap(1, "a")))
	closeStore(t, s)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v; want mode 0700", info.Mode(), err)
	}
	for _, name := range []string{lockFile, identityFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info, err)
		}
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if info, _ := d.Info(); err == nil && d.IsDir() && path != dir && filepath.Dir(path) == dir && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

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
	killed := image(t, cfg.Dir)
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
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
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
