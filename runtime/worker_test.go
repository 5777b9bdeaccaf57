package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/runtime/image"
	"writ/state"
)

// bubble runs a test with its own clock: waiting costs nothing.
func bubble(t *testing.T, f func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		defer func() { g.stop() }()
		f(t, g)
	})
}

func settle() { synctest.Wait() }

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (g *rig) status(name string) *corev1.PodStatus {
	g.t.Helper()
	s := g.world.status("default", name)
	if s == nil || len(s.ContainerStatuses) == 0 {
		g.t.Fatalf("%s has no status", name)
	}
	return s
}

// worker is who looks after a Pod.
func (g *rig) worker(name string) *worker {
	g.t.Helper()
	w, err := g.r.find(g.t.Context(), "default", name)
	if err != nil {
		g.t.Fatal(err)
	}
	return w
}

// in runs f in a worker and waits until nothing happens any more.
func (g *rig) in(w *worker, f func()) {
	w.post(f)
	settle()
}

// An event says which container it is about, also from beside the worker, which owns what the Pod is to be; the image
// of a volume is the Pod's.
func TestWorker_EventsNameTheirContainer(t *testing.T) {
	var got []string
	r := &Runtime{record: func(e state.Event) { got = append(got, e.Field) }}
	w := newWorker(r, &state.Record{Ref: manifest.PodRef("default", "web"), UID: "u", Object: pod("web", "img", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init"}}
	})})
	for _, name := range []string{"main", "init", volumePrefix + "data"} {
		w.about(&corev1.Container{Name: name}, corev1.EventTypeNormal, "Pulling", "")
	}
	if want := []string{"spec.containers{main}", "spec.initContainers{init}", ""}; !slices.Equal(got, want) {
		t.Errorf("events are about %q, want %q", got, want)
	}
}

func TestWorker_RestartBackOff(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		s := g.shims.one(t)
		if got := s.said(&s.starts); got != "main 0" {
			t.Fatalf("starts are %q, want main 0", got)
		}
		restarts := func() int { return int(g.status("web").ContainerStatuses[0].RestartCount) }
		want := 0
		for i, delay := range []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 300 * time.Second, 300 * time.Second} {
			s.exit("main", 1)
			settle()
			if delay > 0 {
				if w := g.status("web").ContainerStatuses[0].State.Waiting; w == nil || w.Reason != "CrashLoopBackOff" {
					t.Fatalf("exit %d: state is %v, want CrashLoopBackOff", i+1, g.status("web").ContainerStatuses[0].State)
				}
				after(delay - time.Second)
				if got := restarts(); got != want {
					t.Fatalf("exit %d: %d restarts a second before %v, want %d", i+1, got, delay, want)
				}
				after(time.Second)
			}
			if want++; restarts() != want {
				t.Fatalf("exit %d: %d restarts after %v, want %d", i+1, restarts(), delay, want)
			}
		}
		after(11 * time.Minute) // it ran long enough: the next restart is at once
		s.exit("main", 1)
		settle()
		if want++; restarts() != want {
			t.Errorf("%d restarts after a long run, want %d at once", restarts(), want)
		}
	})
}

// A container whose start was not answered runs, and keeps its files.
func TestWorker_AnswerOfAStartGetsLost(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		s.mute = true
		s.mu.Unlock()
		s.exit("main", 1) // the first restart is at once
		settle()
		after(time.Minute)
		if got := s.said(&s.starts); got != "main 0, main 1" {
			t.Errorf("starts are %q, want main 0, main 1", got)
		}
		c := g.status("web").ContainerStatuses[0]
		if c.State.Running == nil || c.RestartCount != 1 {
			t.Errorf("container is %+v with %d restarts, want running with 1", c.State, c.RestartCount)
		}
		id := strings.TrimPrefix(c.ContainerID, runtimeName+"://")
		if root := g.worker("web").paths.rootfs(id); !exists(root) {
			t.Errorf("%s of the running container is gone", root)
		}
	})
}

func TestWorker_AdoptsAfterACrash(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		before := g.status("web").DeepCopy()
		g.stop()
		puts := g.world.puts
		g.up()
		settle()
		s := g.shims.one(t)
		if got := s.said(&s.starts); got != "main 0" {
			t.Errorf("starts are %q, want main 0 alone", got)
		}
		if g.world.puts != puts {
			t.Errorf("%d statuses were stated although nothing changed", g.world.puts-puts)
		}
		if after := g.status("web"); after.String() != before.String() {
			t.Errorf("status is %v, was %v", after, before)
		}
	})
}

func TestWorker_WaitsForItsRoutes(t *testing.T) {
	n := &corev1.Node{}
	n.Name = string(node)
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", n, pod("web", "img", nil))
		settle()
		s := g.shims.one(t)
		g.world.end(t, "default", "web", 30)
		after(time.Second)
		if got := s.said(&s.stops); got != "" {
			t.Fatalf("stops are %q before the routes are gone", got)
		}
		rev := g.world.World().Get(manifest.PodRef("default", "web")).Deletion.Revision
		if _, err := g.world.Propose(t.Context(), state.Batch{Writer: state.NodeWriter(node), Puts: []state.Put{{Ref: manifest.NodeRef(string(node)), Routed: rev}}}); err != nil {
			t.Fatal(err)
		}
		after(200 * time.Millisecond)
		if got := s.said(&s.stops); got != "" {
			t.Errorf("stops are %q before requests on their way were answered", got)
		}
		after(50 * time.Millisecond)
		if got := s.said(&s.stops); got != "main 29s" {
			t.Errorf("stops are %q, want what remains of the grace, 29s", got)
		}
		if !gone(g.status("web")) {
			t.Error("the pod is not reported as stopped")
		}
		if len(g.net.attached) > 0 {
			t.Error("the pod is still attached")
		}
		if left := g.r.onDisk(); len(left) > 0 {
			t.Errorf("directories %v are left", left)
		}
	})
}

func TestWorker_WaitsForRoutesAtMostTwoSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		g.world.end(t, "default", "web", 30)
		after(1900 * time.Millisecond)
		if gone(g.status("web")) {
			t.Error("stopped before its routes were gone")
		}
		after(400 * time.Millisecond)
		if !gone(g.status("web")) {
			t.Error("still there after 2.3 s")
		}
	})
}

func TestWorker_ShorterGraceWins(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		s := g.shims.one(t)
		s.deaf = true
		g.world.end(t, "default", "web", 600)
		after(5 * time.Second)
		g.world.end(t, "default", "web", 1)
		after(2 * time.Second)
		if !gone(g.status("web")) {
			t.Errorf("still there after the shorter grace; stops are %q", s.said(&s.stops))
		}
	})
}

func TestWorker_PullBackOff(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.images.fail["img:1"] = image.ErrUnavailable
		g.world.adopt(t, node, "c1", pod("web", "img:1", nil))
		settle()
		if w := g.status("web").ContainerStatuses[0].State.Waiting; w == nil || w.Reason != "ErrImagePull" {
			t.Errorf("state is %v, want ErrImagePull", g.status("web").ContainerStatuses[0].State)
		}
		after(2 * time.Second)
		if w := g.status("web").ContainerStatuses[0].State.Waiting; w == nil || w.Reason != "ImagePullBackOff" {
			t.Errorf("state is %v, want ImagePullBackOff", g.status("web").ContainerStatuses[0].State)
		}
		after(9*time.Second + 20*time.Second)
		if g.images.pulls != 3 {
			t.Errorf("%d pulls after 31 s, want 3 (at 0, 10 and 30 s)", g.images.pulls)
		}
		g.images.mu.Lock()
		delete(g.images.fail, "img:1")
		g.images.mu.Unlock()
		after(40 * time.Second)
		if !ready(g.status("web")) {
			t.Error("not ready although the image is there")
		}
	})
}

func TestWorker_RestartsWithoutTheRegistry(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img:latest", nil)) // pull policy Always
		settle()
		pulls := g.images.pulls
		g.shims.one(t).exit("main", 1)
		settle()
		if got := g.status("web").ContainerStatuses[0].RestartCount; got != 1 || g.images.pulls != pulls {
			t.Errorf("%d restarts and %d more pulls, want 1 and none", got, g.images.pulls-pulls)
		}
	})
}

func TestWorker_TriesTheSandboxAgain(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.net.fail = errors.New("no address is free")
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		if g.status("web").Phase != corev1.PodPending || g.count("FailedCreatePodSandBox") != 1 {
			t.Errorf("phase %s and %d events, want Pending and one", g.status("web").Phase, g.count("FailedCreatePodSandBox"))
		}
		g.net.mu.Lock()
		g.net.fail = nil
		g.net.mu.Unlock()
		after(time.Second)
		if !ready(g.status("web")) {
			t.Error("not ready although there is an address")
		}
	})
}

func TestWorker_StatesAgainWhatWasRefused(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		fails := 3
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		g.world.mu.Lock()
		g.world.refuse = func() error {
			if fails--; fails >= 0 {
				return errors.New("not the leader")
			}
			return nil
		}
		g.world.mu.Unlock()
		after(5 * time.Second)
		if !ready(g.status("web")) {
			t.Error("the status was never stated")
		}
	})
}

func TestRuntime_SweepsOnlyAfterAdoption(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		g.stop()
		records, err := g.r.Restore(t.Context())
		if err != nil || len(records) != 1 || records[0].Ref != manifest.PodRef("default", "web") || records[0].Node != node {
			t.Fatalf("Restore gave %v, %v", records, err)
		}
		g.world = newWorld()
		g.up()
		after(time.Minute)
		s := g.shims.one(t)
		if got := s.said(&s.stops); got != "" {
			t.Fatalf("stops are %q while the world is empty", got)
		}
		g.world.adopt(t, node, "c2")
		settle()
		if got := s.said(&s.stops); got != "main 2s" {
			t.Errorf("stops are %q, want main with its grace", got)
		}
		if left := g.r.onDisk(); len(left) > 0 {
			t.Errorf("directories %v are left", left)
		}
	})
}

func TestRuntime_DownLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("a", "img", nil), pod("b", "img", nil))
		settle()
		if err := g.r.Down(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"data/pods", "run/pods"} {
			if _, err := os.Lstat(filepath.Join(g.dir, dir)); !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", dir, err)
			}
		}
	})
}
