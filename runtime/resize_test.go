package runtime

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
	"writ/runtime/shim"
	"writ/state"
)

func (s *fakeShim) Update(_ context.Context, r shim.UpdateRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var quota, memory int64
	if r.Resources.CPU.Quota != nil {
		quota = *r.Resources.CPU.Quota
	}
	if r.Resources.Memory != nil {
		memory = *r.Resources.Memory.Limit >> 20
	}
	name := ""
	for _, c := range s.containers {
		if c.ID == r.ID {
			name = c.Name
		}
	}
	s.updates = append(s.updates, fmt.Sprintf("%s %d %d %dMi", name, *r.Resources.CPU.Shares, quota, memory))
	return nil
}

func (s *fakeShim) Stats(context.Context) (shim.PodStats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := shim.PodStats{Pod: &shim.Usage{}}
	for _, c := range s.containers {
		if c.Status == shim.StatusRunning {
			out.Pod.MemoryUsage += s.usage
			out.Containers = append(out.Containers, shim.ContainerStats{ID: c.ID, Name: c.Name, Usage: shim.Usage{MemoryUsage: s.usage}})
		}
	}
	return out, nil
}

// sized is a Pod whose container has requests and limits of "cpu memory".
func sized(name, requests, limits string, change func(*corev1.Pod)) *corev1.Pod {
	list := func(text string) corev1.ResourceList {
		if text == "" {
			return nil
		}
		cpu, memory, _ := strings.Cut(text, " ")
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	return pod(name, "img", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list(requests), Limits: list(limits)}
		if change != nil {
			change(p)
		}
	})
}

func resizing(s *corev1.PodStatus) string {
	var out []string
	for _, c := range s.Conditions {
		if c.Type == corev1.PodResizePending || c.Type == corev1.PodResizeInProgress {
			out = append(out, strings.TrimSpace(string(c.Type)+" "+c.Reason+" "+c.Message))
		}
	}
	return strings.Join(out, "; ")
}

func has(s *corev1.PodStatus) string {
	c := s.ContainerStatuses[0]
	return fmt.Sprintf("%s %s of %s %s", c.AllocatedResources.Cpu(), c.AllocatedResources.Memory(), c.Resources.Limits.Cpu(), c.Resources.Limits.Memory())
}

func TestResize_InPlace(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", sized("web", "100m 64Mi", "200m 128Mi", nil))
		settle()
		s := g.shims.one(t)
		if got := has(g.status("web")); got != "100m 64Mi of 200m 128Mi" || s.said(&s.updates) != "" {
			t.Fatalf("it has %s, updates %q", got, s.said(&s.updates))
		}
		g.world.adopt(t, node, "c2", sized("web", "300m 64Mi", "400m 256Mi", nil))
		settle()
		if got := s.said(&s.starts); got != "main 0" {
			t.Errorf("starts are %q, want only the first", got)
		}
		// The Pod's cgroup makes room first, then the container, then the Pod's own limit.
		if got, want := s.said(&s.updates), " 307 40000 256Mi, main 307 40000 256Mi,  307 40000 256Mi"; got != want {
			t.Errorf("updates are %q, want %q", got, want)
		}
		if got := has(g.status("web")); got != "300m 64Mi of 400m 256Mi" {
			t.Errorf("it has %s", got)
		}
		if got := resizing(g.status("web")); got != "" || g.count("ResizeStarted") != 1 || g.count("ResizeCompleted") != 1 {
			t.Errorf("after it: %q, %d started, %d completed", got, g.count("ResizeStarted"), g.count("ResizeCompleted"))
		}
		// Another daemon knows what runs.
		s.updates = nil
		g.stop()
		g.up()
		settle()
		if s := g.shims.one(t); s.said(&s.updates) != "" || g.count("ResizeStarted") != 1 {
			t.Errorf("after a restart of the daemon: updates %q, %d started", s.said(&s.updates), g.count("ResizeStarted"))
		}
		// Smaller: the container first.
		g.world.adopt(t, node, "c3", sized("web", "100m 64Mi", "100m 128Mi", nil))
		settle()
		if got, want := s.said(&s.updates), " 307 40000 256Mi, main 102 10000 128Mi,  102 10000 128Mi"; got != want {
			t.Errorf("updates are %q, want %q", got, want)
		}
	})
}

func TestResize_BelowWhatIsUsed(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", sized("web", "100m 64Mi", "200m 128Mi", nil))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		s.usage = 100 << 20
		s.mu.Unlock()
		g.world.adopt(t, node, "c2", sized("web", "100m 32Mi", "200m 64Mi", nil))
		settle()
		want := "PodResizeInProgress Error cannot decrease memory limits: [attempting to set pod memory limit (67108864) below current usage (104857600), " +
			`attempting to set container "main" memory limit (67108864) below current usage (104857600)]`
		if got := resizing(g.status("web")); got != want || s.said(&s.updates) != "" {
			t.Errorf("conditions %q, updates %q, want\n%q", got, s.said(&s.updates), want)
		}
		if got := has(g.status("web")); got != "100m 32Mi of 200m 128Mi" {
			t.Errorf("it has %s, want what is set aside and what is in force", got)
		}
		s.mu.Lock()
		s.usage = 1 << 20
		s.mu.Unlock()
		after(time.Minute)
		if got := has(g.status("web")); got != "100m 32Mi of 200m 64Mi" || resizing(g.status("web")) != "" || g.count("ResizeError") != 1 {
			t.Errorf("when it uses less: %s, %q, %d errors told", got, resizing(g.status("web")), g.count("ResizeError"))
		}
	})
}

func TestResize_Restarts(t *testing.T) {
	restart := func(p *corev1.Pod) {
		p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}
	}
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", sized("web", "100m 64Mi", "200m 128Mi", restart))
		settle()
		s := g.shims.one(t)
		g.world.adopt(t, node, "c2", sized("web", "100m 64Mi", "300m 128Mi", restart))
		settle()
		if got := s.said(&s.starts); got != "main 0" {
			t.Errorf("starts are %q after a change of CPU, want only the first", got)
		}
		g.world.adopt(t, node, "c3", sized("web", "100m 64Mi", "300m 256Mi", restart))
		settle()
		if got := s.said(&s.starts); got != "main 0, main 1" {
			t.Errorf("starts are %q, want another one at once", got)
		}
		if events := strings.Join(g.events, " "); strings.LastIndex(events, "ResizeCompleted") < strings.LastIndex(events, "Started") {
			t.Errorf("events are %s, want the resize completed when the container runs again", events)
		}
		if got := has(g.status("web")); got != "100m 64Mi of 300m 256Mi" || resizing(g.status("web")) != "" || g.count("ResizeCompleted") != 2 {
			t.Errorf("it has %s, %q, %d completed", got, resizing(g.status("web")), g.count("ResizeCompleted"))
		}
		if got := s.said(&s.updates); !strings.HasSuffix(got, " 102 30000 256Mi") {
			t.Errorf("updates are %q, want the Pod's last", got)
		}
	})
}

// A container that was started with what it is to have is not started again because nobody heard of it.
func TestResize_AnswerOfTheStartGetsLost(t *testing.T) {
	restart := func(p *corev1.Pod) {
		p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}
	}
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", sized("web", "100m 64Mi", "200m 128Mi", restart))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		s.mute = true
		s.mu.Unlock()
		g.world.adopt(t, node, "c2", sized("web", "100m 64Mi", "200m 256Mi", restart))
		after(time.Minute)
		if got := s.said(&s.starts); got != "main 0, main 1" {
			t.Errorf("starts are %q, want one more than the first", got)
		}
		if got := has(g.status("web")); got != "100m 64Mi of 200m 256Mi" || resizing(g.status("web")) != "" || g.count("ResizeCompleted") != 1 {
			t.Errorf("it has %s, %q, %d completed", got, resizing(g.status("web")), g.count("ResizeCompleted"))
		}
		g.in(g.worker("web"), func() {
			if w := g.worker("web"); w.o.Containers["main"].Anew {
				t.Error("the run that came of it counts as ended for it")
			}
		})
	})
}

func TestResize_NoRoom(t *testing.T) {
	cpus := goruntime.NumCPU()
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", sized("big", fmt.Sprintf("%dm 1Mi", cpus*1000-500), "", nil), sized("web", "100m 64Mi", "", nil))
		settle()
		g.world.adopt(t, node, "c2", sized("web", "1000 64Mi", "", nil))
		settle()
		want := fmt.Sprintf("PodResizePending Infeasible Node didn't have enough capacity: cpu, requested: 1000000, capacity: %d", cpus*1000)
		if got := resizing(g.status("web")); got != want || g.count("ResizeInfeasible") != 1 {
			t.Errorf("got %q, want %q; %d told", got, want, g.count("ResizeInfeasible"))
		}
		g.world.adopt(t, node, "c3", sized("web", "600m 64Mi", "", nil))
		settle()
		want = fmt.Sprintf("PodResizePending Deferred Node didn't have enough resource: cpu, requested: 600, used: %d, capacity: %d", cpus*1000-500, cpus*1000)
		if got := resizing(g.status("web")); got != want || g.count("ResizeDeferred") != 1 {
			t.Errorf("got %q, want %q; %d told", got, want, g.count("ResizeDeferred"))
		}
		if got := g.status("web").ContainerStatuses[0].AllocatedResources.Cpu().String(); got != "100m" {
			t.Errorf("%s are set aside, want 100m", got)
		}
		g.world.end(t, "default", "big", 0)
		after(5 * time.Second)
		g.world.decide(t, remove("big"))
		settle()
		if got := g.status("web"); resizing(got) != "" || got.ContainerStatuses[0].AllocatedResources.Cpu().String() != "600m" {
			t.Errorf("with room: %q, %s", resizing(got), got.ContainerStatuses[0].AllocatedResources.Cpu())
		}
	})
}

func TestFits(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	for name, tt := range map[string]struct {
		requests     string
		used         corev1.ResourceList
		reason, text string
	}{
		"fits":    {"1 1Gi", list("3", "1Gi"), "", ""},
		"cpu":     {"2 1Gi", list("3", "1Gi"), "Deferred", "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000"},
		"memory":  {"1 2Gi", list("1", "7Gi"), "Deferred", "Node didn't have enough resource: memory, requested: 2147483648, used: 7516192768, capacity: 8589934592"},
		"never":   {"1 9Gi", nil, "Infeasible", "Node didn't have enough capacity: memory, requested: 9663676416, capacity: 8589934592"},
		"nothing": {"", list("9", "90Gi"), "", ""},
	} {
		reason, text := fits(sized("p", tt.requests, "", nil), list("4", "8Gi"), tt.used)
		if diff := cmp.Diff([]string{tt.reason, tt.text}, []string{reason, text}); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// remove is the Batch that takes a Pod's record away.
func remove(name string) state.Batch {
	return state.Batch{Deletes: []state.Delete{{Ref: manifest.PodRef("default", name)}}}
}

// A Pod's own limits are resized like its containers', which run under them where they have none.
func TestResize_OfThePod(t *testing.T) {
	whole := func(cpu, memory string) *corev1.Pod {
		return pod("web", "img", func(p *corev1.Pod) {
			list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: list, Limits: list}
		})
	}
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", whole("100m", "64Mi"))
		settle()
		s := g.shims.one(t)
		g.world.adopt(t, node, "c2", whole("300m", "128Mi"))
		settle()
		if got, want := s.said(&s.updates), " 307 30000 128Mi, main 307 30000 128Mi,  307 30000 128Mi"; got != want {
			t.Errorf("updates are %q, want %q", got, want)
		}
		st := g.status("web")
		if got := st.Resources.Limits.Memory().String() + " " + st.AllocatedResources.Cpu().String(); got != "128Mi 300m" || resizing(st) != "" || s.said(&s.starts) != "main 0" {
			t.Errorf("the pod has %s, %q, starts %q", got, resizing(st), s.said(&s.starts))
		}
	})
}

// How much a container may swap follows from its request of memory, and nothing changes it while it runs.
func TestResize_OfWhatSwaps(t *testing.T) {
	restart := func(p *corev1.Pod) {
		p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}
	}
	for name, tt := range map[string]struct {
		change   func(*corev1.Pod)
		requests string
		want     string
	}{
		"memory":              {nil, "100m 128Mi", "PodResizePending Infeasible In-place resize of containers with swap is not supported."},
		"cpu":                 {nil, "200m 64Mi", ""},
		"memory by a restart": {restart, "100m 128Mi", ""},
	} {
		bubble(t, func(t *testing.T, g *rig) {
			g.r.machine.CgroupV2, g.r.machine.SwapControl, g.r.machine.SwapBytes, g.r.machine.MemoryBytes = true, true, 1<<30, 1<<30
			g.world.adopt(t, node, "c1", sized("web", "100m 64Mi", "1 256Mi", tt.change))
			settle()
			g.world.adopt(t, node, "c2", sized("web", tt.requests, "1 256Mi", tt.change))
			settle()
			if got := resizing(g.status("web")); got != tt.want {
				t.Errorf("%s: got %q, want %q", name, got, tt.want)
			}
		})
	}
}

// A Pod that has ended needs nothing any more, as soon as that is known.
func TestResize_RoomOfOneThatEnded(t *testing.T) {
	cpus := goruntime.NumCPU()
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", sized("web", "100m 64Mi", "", nil),
			sized("big", fmt.Sprintf("%dm 1Mi", cpus*1000-500), "", func(p *corev1.Pod) {
				p.Spec.RestartPolicy = corev1.RestartPolicyNever
				p.Spec.Containers[0].Name = "job"
			}))
		settle()
		g.world.adopt(t, node, "c2", sized("web", "600m 64Mi", "", nil))
		settle()
		if got := resizing(g.status("web")); !strings.HasPrefix(got, "PodResizePending Deferred") {
			t.Fatalf("got %q, want it to wait", got)
		}
		g.shims.mu.Lock()
		for _, s := range g.shims.pods {
			s.exit("job", 0)
		}
		g.shims.mu.Unlock()
		settle() // no time passes
		if got := g.status("web"); resizing(got) != "" || got.ContainerStatuses[0].AllocatedResources.Cpu().String() != "600m" {
			t.Errorf("with room: %q, %s", resizing(got), got.ContainerStatuses[0].AllocatedResources.Cpu())
		}
	})
}

// Nothing is resized of a Pod that has ended, however it did.
func TestResize_OfOneThatEnded(t *testing.T) {
	never := func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }
	late := func(p *corev1.Pod) { limit := int64(5); p.Spec.ActiveDeadlineSeconds = &limit }
	for name, change := range map[string]func(*corev1.Pod){"by itself": never, "by the node": late} {
		for _, down := range []bool{false, true} {
			bubble(t, func(t *testing.T, g *rig) {
				g.world.adopt(t, node, "c1", sized("web", "100m 64Mi", "200m 128Mi", change))
				settle()
				if name == "by itself" {
					g.shims.one(t).exit("main", 0)
				}
				after(10 * time.Second)
				if down {
					g.stop()
				}
				g.world.adopt(t, node, "c2", sized("web", "300m 64Mi", "400m 256Mi", change))
				if down {
					g.up()
				}
				after(time.Minute)
				if a, b := g.count("ResizeStarted"), g.count("ResizeCompleted"); a+b > 0 {
					t.Errorf("ended %s, daemon down %v: %d events of a start and %d of an end", name, down, a, b)
				}
			})
		}
	}
}
