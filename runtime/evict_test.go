package runtime

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/runtime/pressure"
	"writ/state"
)

func sizeLimit(size string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		q := resource.MustParse(size)
		p.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &q}}}}
	}
}

// fill writes to a volume of a Pod.
func (g *rig) fill(name, volume string, size int) string {
	g.t.Helper()
	w, err := g.r.find(g.t.Context(), "default", name)
	if err != nil {
		g.t.Fatal(err)
	}
	dir := w.volumeSet().Path(volume)
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "data"), make([]byte, size), 0o600)); err != nil {
		g.t.Fatal(err)
	}
	return w.paths.data
}

const overX = "Usage of EmptyDir volume \"x\" exceeds the limit \"1Mi\". "

func evictedWith(t *testing.T, s *corev1.PodStatus, message string) {
	t.Helper()
	if s.Phase != corev1.PodFailed || s.Reason != "Evicted" || s.Message != message {
		t.Errorf("status is %s %s %q, want Failed Evicted %q", s.Phase, s.Reason, s.Message, message)
	}
}

func TestEvict_OverItsLimit(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", sizeLimit("1Mi")), pod("free", "img", sizeLimit("1Gi")))
		settle()
		dir := g.fill("web", "x", 2<<20)
		g.fill("free", "x", 2<<20)
		after(15 * time.Second)
		evictedWith(t, g.status("web"), overX)
		if t0 := g.status("web").ContainerStatuses[0].State.Terminated; t0 == nil {
			t.Errorf("its container is %+v, want terminated", g.status("web").ContainerStatuses[0].State)
		}
		if exists(dir) {
			t.Errorf("%s is there still", dir)
		}
		if g.status("free").Phase != corev1.PodRunning {
			t.Errorf("the pod within its limit is %s", g.status("free").Phase)
		}
		before := g.status("web").DeepCopy()
		g.stop()
		g.up()
		after(time.Minute)
		if got := g.status("web"); got.String() != before.String() {
			t.Errorf("after a restart of the daemon the status is\n%s\nwas\n%s", got, before)
		}
		if exists(dir) {
			t.Error("the daemon made the pod's directory again")
		}
		g.world.end(t, "default", "web", 0)
		settle()
		if !gone(g.status("web")) {
			t.Error("its record is deleted, and it does not say that nothing is left")
		}
		if exists(g.r.cfg.evictedPath(g.world.World().Get(manifest.PodRef("default", "web")).UID)) {
			t.Error("the eviction is remembered though the pod is deleted")
		}
	})
}

// What an evicted Pod still pulls would fill the disk further.
func TestEvict_EndsItsPulls(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.images.fail["img"], g.images.slow = errors.New("is not here"), true
		g.world.adopt(t, node, "c1", pod("web", "img", sizeLimit("1Mi")))
		settle()
		pulling := func() int {
			g.images.mu.Lock()
			defer g.images.mu.Unlock()
			return g.images.pulling
		}
		if pulling() != 1 {
			t.Fatalf("%d pulls, want the pod's", pulling())
		}
		g.fill("web", "x", 2<<20)
		after(15 * time.Second)
		evictedWith(t, g.status("web"), overX)
		if pulling() != 0 {
			t.Error("the evicted pod goes on pulling its image")
		}
	})
}

// A crash right after the decision, of which the World knows nothing.
func TestEvict_RememberedOverACrash(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", sizeLimit("1Mi")))
		settle()
		uid := g.world.World().Get(manifest.PodRef("default", "web")).UID
		g.stop()
		if err := g.r.markEvicted(uid, &Failure{Reason: "Evicted", Message: overX}); err != nil {
			t.Fatal(err)
		}
		s := g.shims.one(t)
		g.up()
		after(10 * time.Second)
		evictedWith(t, g.status("web"), overX)
		if got := s.said(&s.starts); got != "main 0" {
			t.Errorf("starts are %q: it was started again", got)
		}
	})
}

func TestEvict_NodeIsShort(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		n := &corev1.Node{}
		n.Name = string(node)
		important := int32(2_000_000_000)
		g.world.adopt(t, node, "c1", n, pod("web", "img", nil), pod("system", "img", func(p *corev1.Pod) { p.Spec.Priority = &important }))
		settle()
		g.levels.Store(pressure.MemoryAvailable, int64(50<<20))
		after(15 * time.Second)
		evictedWith(t, g.status("web"), "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ")
		c := state.PodCondition(g.status("web"), corev1.DisruptionTarget)
		if c == nil || c.Status != corev1.ConditionTrue || c.Reason != "TerminationByKubelet" || c.Message != g.status("web").Message {
			t.Errorf("DisruptionTarget is %v", c)
		}
		if g.status("system").Phase != corev1.PodRunning {
			t.Error("a critical pod was evicted")
		}
		pressed := func() corev1.ConditionStatus {
			s := g.world.World().Get(manifest.NodeRef(string(node))).Status.(*corev1.NodeStatus)
			return s.Conditions[0].Status
		}
		if pressed() != corev1.ConditionTrue {
			t.Error("MemoryPressure is not True")
		}
		g.levels.Delete(pressure.MemoryAvailable)
		after(6 * time.Minute)
		if pressed() != corev1.ConditionFalse {
			t.Error("MemoryPressure does not end")
		}
		if g.count("EvictionThresholdMet") == 0 || g.count("Evicted") != 1 || g.count("NodeHasInsufficientMemory") != 1 {
			t.Errorf("events are %v", g.events)
		}
	})
}

// What is dead goes before what lives.
func TestEvict_DeadContainersFirst(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		s := g.shims.one(t)
		s.exit("main", 1)
		settle()
		w, err := g.r.find(t.Context(), "default", "web")
		if err != nil {
			t.Fatal(err)
		}
		old, now := w.paths.container(containerID(w.uid, "main", 0)), w.paths.container(containerID(w.uid, "main", 1))
		logs := filepath.Join(w.paths.logs, "main")
		if err := os.MkdirAll(logs, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"0.log", "1.log", "1.log.20260304-050607"} {
			if err := os.WriteFile(filepath.Join(logs, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if !exists(old) || !exists(now) {
			t.Fatal("the attempts have no files")
		}
		if err := (&guarded{g.r}).Take(t.Context(), pressure.DeadContainers); err != nil {
			t.Fatal(err)
		}
		if exists(old) || !exists(now) {
			t.Errorf("files of the dead are there: %v, of the living: %v", exists(old), exists(now))
		}
		if err := (&guarded{g.r}).Take(t.Context(), pressure.OldLogs); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"0.log": true, "1.log": true, "1.log.20260304-050607": false} {
			if exists(filepath.Join(logs, name)) != want {
				t.Errorf("%s is there: %v, want %v", name, !want, want)
			}
		}
	})
}

func TestRefusePressure(t *testing.T) {
	requests := func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m")}
	}
	tolerates := func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
	}
	critical := func(p *corev1.Pod) { n := int32(2_000_000_000); p.Spec.Priority = &n }
	memory, both := []corev1.NodeConditionType{corev1.NodeMemoryPressure}, []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure}
	for name, tt := range map[string]struct {
		conditions []corev1.NodeConditionType
		pod        func(*corev1.Pod)
		want       string
	}{
		"none":                {nil, nil, ""},
		"memory, best effort": {memory, nil, "The node had condition: [MemoryPressure]. "},
		"memory, burstable":   {memory, requests, ""},
		"memory, tolerated":   {memory, tolerates, ""},
		"both, burstable":     {both, requests, "The node had condition: [MemoryPressure DiskPressure]. "},
		"both, critical":      {both, critical, ""},
	} {
		got := ""
		if no := refusePressure(tt.conditions, pod("p", "img", tt.pod)); no != nil {
			if got = no.message; no.reason != "Evicted" {
				t.Errorf("%s: reason %s, want Evicted", name, no.reason)
			}
		}
		if got != tt.want {
			t.Errorf("%s: it says %q, want %q", name, got, tt.want)
		}
	}
}

// What a reboot leaves of a Pod that nobody knows: data and logs, and no shim to tell its name.
func TestSweep_LogsOfAnUnknownPod(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.stop()
		const uid = "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
		data, logs, foreign := g.dir+"/data/pods/"+uid, g.dir+"/logs/shop_web-1_"+uid, g.dir+"/logs/other_pod_11111111-9dad-51d1-80b4-00c04fd430c8"
		links := g.dir + "/links"
		for _, dir := range []string{data, logs + "/main", foreign, links} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for name, to := range map[string]string{"dead": g.dir + "/logs/gone/0.log", "alive": foreign, "theirs": "/no/such/log"} {
			if err := os.Symlink(to, links+"/"+name); err != nil {
				t.Fatal(err)
			}
		}
		g.links = links
		g.up()
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		after(time.Minute)
		for name, want := range map[string]bool{data: false, logs: false, foreign: true, links + "/dead": false, links + "/alive": true, links + "/theirs": true} {
			if exists(name) != want {
				t.Errorf("%s is there: %v, want %v", name, !want, want)
			}
		}
	})
}

// A Pod that goes while all are asked takes nobody's answer.
func TestEveryWorker_OneGoes(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r := &Runtime{workers: map[types.UID]*worker{}}
			for _, uid := range []types.UID{"gone", "here"} {
				r.workers[uid] = &worker{uid: uid, bell: make(chan struct{}, 1), done: make(chan struct{})}
			}
			go func() {
				here := r.workers["here"]
				<-here.bell
				here.drain()
				close(r.workers["gone"].done)
			}()
			want := errors.New("here")
			if err := r.everyWorker(ctx, func(*worker) error { return want }); !errors.Is(err, want) {
				t.Errorf("got %v, want the answer of the pod that is here", err)
			}
		})
	}
}

// A Pod that is deleted and takes its time is evicted like any other.
func TestEvict_OneThatIsDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		n := &corev1.Node{}
		n.Name = string(node)
		g.world.adopt(t, node, "c1", n, pod("web", "img", nil))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		s.deaf = true
		s.mu.Unlock()
		g.world.end(t, "default", "web", 600)
		after(10 * time.Second)
		if gone(g.status("web")) {
			t.Fatal("it is gone before its time")
		}
		uid := g.world.World().Get(manifest.PodRef("default", "web")).UID
		g.levels.Store(pressure.MemoryAvailable, int64(50<<20))
		after(20 * time.Second)
		if st := g.status("web"); !gone(st) || st.Reason != "Evicted" || g.count("Evicted") != 1 {
			t.Errorf("it is gone: %v, %s %s, %d events", gone(st), st.Phase, st.Reason, g.count("Evicted"))
		}
		if exists(g.r.cfg.evictedPath(uid)) {
			t.Error("the eviction is remembered though nothing is left of the pod")
		}
	})
}

// What remains of the time of an evicted Pod remains over a restart of the daemon.
func TestEvict_GraceOverARestart(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		uid := g.world.World().Get(manifest.PodRef("default", "web")).UID
		g.stop()
		if err := g.r.markEvicted(uid, &Failure{Reason: "Evicted", Message: overX, Until: time.Now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		s := g.shims.one(t)
		s.deaf = true
		after(20 * time.Second)
		g.up()
		after(30 * time.Second)
		if got := s.said(&s.stops); got != "main 40s" || g.status("web").Phase != corev1.PodRunning {
			t.Errorf("stops are %q, the pod is %s, want the time that remains", got, g.status("web").Phase)
		}
		after(20 * time.Second)
		evictedWith(t, g.status("web"), overX)
	})
}
