package loop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/reconcile/sim"
	"writ/state"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "img:%d"}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: lone}, spec: {containers: [{name: c, image: "img:9"}]}}
`

func tree(replicas, version int) fs.FS {
	return fstest.MapFS{"web.yaml": {Data: fmt.Appendf(nil, deployment, replicas, version)}}
}

// rig is a store with a simulated node, and loops that come and go. It lives in a synctest bubble.
type rig struct {
	t       *testing.T
	store   *scenario.Store
	commits map[string]Commit
	// progress is told by loops that are started later.
	progress func(state.Progress)
	stop     []func()
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, store: scenario.NewStore(state.NewWorld(uuid.MustParse("00000000-0000-4000-8000-000000000001"))), commits: map[string]Commit{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { r.node(ctx) })
	r.stop = append(r.stop, wait.Wait, cancel)
	return r
}

func (r *rig) close() {
	for i := len(r.stop) - 1; i >= 0; i-- {
		r.stop[i]()
	}
}

// node observes whatever changes, as the runtime and network of a node do.
func (r *rig) node(ctx context.Context) {
	n := sim.Node{Behave: func(*corev1.Pod) sim.Behaviour {
		return sim.Behaviour{StartAfter: time.Second, ReadyAfter: time.Second, StopAfter: 3 * time.Second}
	}}
	for ctx.Err() == nil {
		w := r.store.World()
		b, wake := n.Step(state.Share(w, "node-1"), time.Now())
		if !b.Empty() {
			if _, err := r.store.Propose(ctx, b); err != nil && ctx.Err() == nil && !errors.Is(err, errDown) {
				r.t.Error(err)
			}
		}
		var timer <-chan time.Time
		if !wake.IsZero() {
			timer = time.After(max(time.Until(wake), time.Millisecond))
		}
		select {
		case <-ctx.Done():
		case <-timer:
		case <-r.store.Changed(w.Revision()):
		}
	}
}

var errDown = errors.New("no space left on device")

// start runs a loop; the answer ends it.
func (r *rig) start(c ...Commit) (*Loop, chan<- Commit, func()) {
	r.t.Helper()
	commits := make(chan Commit, 16)
	for _, one := range c {
		commits <- one
	}
	l := r.loop(commits)
	ctx, cancel := context.WithCancel(r.t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { _ = l.Run(ctx) })
	return l, commits, func() { cancel(); wait.Wait() }
}

// running is a rig whose loop has adopted a first commit, until the test ends.
func running(t *testing.T, first fs.FS) (*rig, *Loop, chan<- Commit) {
	t.Helper()
	r := newRig(t)
	t.Cleanup(r.close)
	l, commits, stop := r.start(r.commit(1, first))
	t.Cleanup(stop)
	settle()
	return r, l, commits
}

// fillable is a store that takes no decision while full, and counts those that it did not take.
func (r *rig) fillable() (full *atomic.Bool, tries *atomic.Int32) {
	full, tries = new(atomic.Bool), new(atomic.Int32)
	r.store.Refuse(func(b state.Batch) (bool, error) {
		if full.Load() && b.Writer == state.WriterReconcile {
			tries.Add(1)
			return false, errDown
		}
		return false, nil
	})
	return full, tries
}

// loop is one that does not run yet.
func (r *rig) loop(commits <-chan Commit) *Loop {
	r.t.Helper()
	cfg := Config{
		Commits: commits,
		Options: reconcile.Options{Node: "node-1", OS: "linux", Arch: "amd64"},
		Adopted: func(_ context.Context, hash string) (Commit, error) {
			c, ok := r.commits[hash]
			if !ok {
				return Commit{}, errors.New("no such commit")
			}
			return c, nil
		},
		Progress: r.progress,
	}
	l, err := New(cfg, r.store, slog.New(slog.DiscardHandler))
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (r *rig) commit(n int, tree fs.FS) Commit {
	c := Commit{Hash: fmt.Sprintf("%040d", n), Tree: fmt.Sprint(n), Subject: fmt.Sprint("commit ", n), FS: tree}
	r.commits[c.Hash] = c
	return c
}

// settle lets time pass until everything had its chance.
func settle() {
	time.Sleep(2 * time.Minute)
	synctest.Wait()
}

func (r *rig) deploymentText() string {
	var lines []string
	for line := range strings.Lines(scenario.Text(r.store.World())) {
		if strings.HasPrefix(line, "Deployment/") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

const healthy = "Deployment/default/web authored replicas=%d status=%[1]d/%[1]d/%[1]d/%[1]d "

func (r *rig) wantHealthy(replicas int) {
	r.t.Helper()
	got, want := r.deploymentText(), fmt.Sprintf(healthy, replicas)
	if !strings.HasPrefix(got, want) || strings.Contains(got, "False") || strings.Count(got, "\n") != 1 {
		r.t.Fatalf("deployment: got\n%swant\n%s%s", got, want, scenario.Text(r.store.World()))
	}
}

func TestLoop_AdoptsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close()
		l, commits, stop := r.start(r.commit(1, tree(2, 1)), r.commit(2, tree(3, 1)))
		defer stop()
		settle()
		r.wantHealthy(3)
		if got := len(r.store.World().History()); got > 2 {
			t.Errorf("%d adoptions, want at most 2", got)
		}
		commits <- r.commit(3, fstest.MapFS{"web.yaml": {Data: []byte("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web}\nspec: {replica: 1}\n")}})
		settle()
		r.wantHealthy(3)
		rep := l.Report()
		if rep.Adopted || rep.Newest.Subject != "commit 3" || len(rep.Mistakes) == 0 {
			t.Errorf("report of a bad commit: %+v", rep)
		}
		commits <- r.commit(4, fstest.MapFS{"README": {Data: []byte("empty")}})
		settle()
		if rep := l.Report(); rep.Adopted || !strings.Contains(rep.Held, "declares no object") {
			t.Errorf("report of an empty commit: %+v", rep)
		}
		r.wantHealthy(3)
		commits <- r.commit(5, tree(1, 2))
		settle()
		r.wantHealthy(1)
		if rep := l.Report(); !rep.Adopted || rep.Newest.Subject != "commit 5" || rep.Mistakes != nil || rep.Held != "" {
			t.Errorf("report of an adopted commit: %+v", rep)
		}
	})
}

func TestLoop_ImmutableFieldAtItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, commits := running(t, tree(1, 1))
		other := strings.NewReplacer("app: web}}\n  template", "app: shop}}\n  template", "labels: {app: web}", "labels: {app: shop}").Replace(fmt.Sprintf(deployment, 1, 1))
		commits <- r.commit(2, fstest.MapFS{"web.yaml": {Data: []byte(other)}})
		settle()
		rep := l.Report()
		if len(rep.Mistakes) != 1 || !strings.HasPrefix(rep.Mistakes[0].String(), "web.yaml:8: Deployment/default/web: spec.selector: Invalid value") {
			t.Errorf("mistakes %v, want that of the selector at its line", rep.Mistakes)
		}
	})
}

// A declared Pod that ended is replaced once its manifest changes.
func TestLoop_MakesDeclaredPodsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close()
		_, commits, stop := r.start(r.commit(1, tree(1, 1)))
		settle()
		ref := manifest.PodRef("default", "lone")
		lone := r.store.World().Get(ref)
		ended := lone.PodStatus().DeepCopy()
		ended.Phase = corev1.PodFailed
		if _, err := r.store.Propose(t.Context(), state.Batch{Writer: state.NodeWriter("node-1"), Now: time.Now(), Puts: []state.Put{{Ref: ref, Status: ended}}}); err != nil {
			t.Fatal(err)
		}
		settle()
		if got := r.store.World().Get(ref); got.UID != lone.UID {
			t.Fatal("it was made again before its manifest changed")
		}
		yaml := strings.ReplaceAll(fmt.Sprintf(deployment, 1, 1), "img:9", "img:8")
		commits <- r.commit(2, fstest.MapFS{"web.yaml": {Data: []byte(yaml)}})
		settle()
		stop()
		got := r.store.World().Get(ref)
		if got == nil || got.UID == lone.UID || got.Pod().Spec.Containers[0].Image != "img:8" || got.PodStatus().Phase != corev1.PodRunning {
			t.Errorf("after its manifest changed:\n%s", scenario.Text(r.store.World()))
		}
	})
}

type panicFS struct{}

func (panicFS) Open(string) (fs.File, error) { panic("broken library") }

type unreadable struct{}

func (unreadable) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("input/output error")}
}

func TestLoop_SurvivesContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, commits := running(t, tree(2, 1))
		commits <- r.commit(2, panicFS{})
		settle()
		if rep := l.Report(); len(rep.Mistakes) != 1 || !strings.Contains(rep.Mistakes[0].What, "broken library") {
			t.Errorf("report of a panic: %+v", rep)
		}
		commits <- r.commit(3, unreadable{})
		settle()
		if rep := l.Report(); !strings.Contains(rep.Unread, "input/output error") {
			t.Errorf("report of an unreadable tree: %+v", rep)
		}
		commits <- r.commit(4, tree(3, 1))
		settle()
		r.wantHealthy(3)
	})
}

func TestLoop_StoreRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, commits := running(t, tree(2, 1))
		full, tries := r.fillable()
		full.Store(true)
		commits <- r.commit(2, tree(4, 1))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if rep := l.Report(); !strings.Contains(rep.Trouble, "no space left") {
			t.Errorf("report while the store refuses: %+v", rep)
		}
		if n := tries.Load(); n < 5 || n > 30 {
			t.Errorf("%d tries in 10 minutes, want 5 to 30", n)
		}
		r.wantHealthy(2)
		full.Store(false)
		settle()
		r.wantHealthy(4)
		if rep := l.Report(); rep.Trouble != "" || !rep.Adopted {
			t.Errorf("report after the store came back: %+v", rep)
		}
	})
}

// TestLoop_Killed ends the loop at a random Batch of a rollout, before or after it became true, and
// starts another: always with the same end, and without a healthy Pod ended in vain.
func TestLoop_Killed(t *testing.T) {
	times := 200
	if testing.Short() {
		times = 20
	}
	for seed := range times {
		synctest.Test(t, func(t *testing.T) { killed(t, rand.New(rand.NewPCG(uint64(seed), 2))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func killed(t *testing.T, random *rand.Rand) {
	r := newRig(t)
	defer r.close()
	_, commits, stop := r.start(r.commit(1, tree(3, 1)))
	settle()
	r.wantHealthy(3)

	var mu sync.Mutex
	left := random.IntN(14)
	after := random.IntN(2) == 0
	crash := make(chan struct{})
	dead := false
	r.store.Refuse(func(b state.Batch) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if b.Writer != state.WriterReconcile {
			return false, nil
		}
		if dead {
			return false, context.Canceled
		}
		if left--; left < 0 {
			dead = true
			close(crash)
			return after, context.Canceled
		}
		return false, nil
	})
	next := r.commit(2, tree(3, 2))
	commits <- next
	select {
	case <-crash:
	case <-time.After(5 * time.Minute): // the rollout took fewer Batches
	}
	stop()
	time.Sleep(time.Duration(random.IntN(10)) * time.Second) // the node goes on alone
	r.store.Refuse(nil)
	_, _, stop = r.start(next)
	defer stop()
	settle()
	r.wantHealthy(3)
	r.checkPods(next)
}

// checkPods looks at every change there ever was: 3 old Pods, 3 new ones, the lone one, and none of the
// new or the lone one was ever ended.
func (r *rig) checkPods(next Commit) {
	r.t.Helper()
	changes, w, _ := r.store.Since(0)
	made := map[string]int{}
	for _, c := range changes {
		if c.Ref.Kind != "Pod" {
			continue
		}
		if c.Old == nil {
			made[c.New.Pod().Spec.Containers[0].Image]++
		}
		if c.New != nil && c.New.Deletion != nil && c.New.Pod().Spec.Containers[0].Image != "img:1" {
			r.t.Errorf("%s was ended: %s", c.Ref, c.New.Deletion.Reason)
		}
	}
	if got, want := fmt.Sprint(made), "map[img:1:3 img:2:3 img:9:1]"; got != want {
		r.t.Errorf("pods made: got %s, want %s", got, want)
	}
	pods := 0
	for range w.Pods("") {
		pods++
	}
	if pods != 4 {
		r.t.Errorf("%d pods are left, want 4:\n%s", pods, scenario.Text(w))
	}
	if w.Adopted().Commit != next.Hash {
		r.t.Errorf("adopted %s, want %s", w.Adopted().Commit, next.Hash)
	}
	if s, why := reconcile.Health(w, manifest.DeploymentRef("default", "web")); s != reconcile.Healthy {
		r.t.Errorf("health: %s %s", s, why)
	}
}
