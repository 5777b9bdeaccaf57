package runtime

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// settlingPods counts the pods that nobody has looked at.
func (g *rig) settlingPods() int {
	pods, changed := g.r.Settling()
	if (changed == nil) != (len(pods) == 0) {
		g.t.Errorf("settling: %d pods, and changes are told: %v", len(pods), changed != nil)
	}
	return len(pods)
}

func probed(p *corev1.Pod) {
	p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3,
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"ask"}}}}
}

// TestSettling_UntilProbedAndTold: a daemon whose predecessor was killed before the store had what it
// saw. A pod settles with the first answer of its probe, and only once the World says what was found.
func TestSettling_UntilProbedAndTold(t *testing.T) {
	for name, tt := range map[string]struct {
		code int
		want bool
	}{"ready": {0, true}, "not ready": {1, false}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.world.adopt(t, node, "c1", pod("web", "img", probed))
				settle()
				if n := g.settlingPods(); n != 0 || !ready(g.status("web")) {
					t.Fatalf("first start: %d pods settle, ready %v, want 0 and true", n, ready(g.status("web")))
				}
				g.stop()
				old := g.status("web").DeepCopy()
				for i := range old.Conditions {
					if c := &old.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
						c.Status = corev1.ConditionFalse
					}
				}
				old.ContainerStatuses[0].Ready = false
				b := state.Batch{Writer: state.NodeWriter(node), Puts: []state.Put{{Ref: manifest.PodRef("default", "web"), Status: old}}}
				if _, err := g.world.Propose(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				s := g.shims.one(t)
				s.answer = make(chan int)
				g.up()
				settle()
				if n := g.settlingPods(); n != 1 {
					t.Errorf("while the first probe is on its way: %d pods settle, want 1", n)
				}
				_, changed := g.r.Settling()
				s.answer <- tt.code
				<-changed
				if n := g.settlingPods(); n != 0 || ready(g.status("web")) != tt.want {
					t.Errorf("after the first probe: %d pods settle, ready %v, want 0 and %v", n, ready(g.status("web")), tt.want)
				}
			})
		})
	}
}

// TestSettling_WithoutProbe: what is not asked is known once it is found.
func TestSettling_WithoutProbe(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		g.shims.one(t).exit("main", 0)
		settle()
		g.stop()
		g.open()
		if n := g.settlingPods(); n != 1 {
			t.Errorf("before the runtime looks: %d pods settle, want 1", n)
		}
		g.run()
		settle()
		if n := g.settlingPods(); n != 0 {
			t.Errorf("once it looked: %d pods settle, want 0", n)
		}
	})
}

// lack is a network without an address.
type lack struct {
	after time.Duration
	ready chan struct{}
}

func (lack) Error() string               { return "no address is free" }
func (l lack) RetryAfter() time.Duration { return l.after }
func (l lack) Ready() <-chan struct{}    { return l.ready }

// TestWorker_WaitsForAnAddress: a pod that stands in line for an address starts the moment it gets one,
// does not ask before, and can be deleted meanwhile.
func TestWorker_WaitsForAnAddress(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		l := lack{40 * time.Second, make(chan struct{})}
		g.net.fail = l
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		after(39 * time.Second)
		if n := g.count("FailedCreatePodSandBox"); n != 1 {
			t.Errorf("asked %d times within 39 s, want once", n)
		}
		g.net.mu.Lock()
		g.net.fail = nil
		g.net.mu.Unlock()
		close(l.ready)
		settle()
		if !ready(g.status("web")) {
			t.Errorf("the address is there, and the pod does not run: %v", g.status("web"))
		}
	})
	bubble(t, func(t *testing.T, g *rig) {
		g.net.fail = lack{time.Minute, make(chan struct{})}
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		g.world.end(t, "default", "web", 30)
		after(3 * time.Second)
		if !gone(g.status("web")) {
			t.Errorf("deleted while it waited: %v, want it to be gone", g.status("web").Conditions)
		}
	})
}
