package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/state"
)

func device(n string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse(n)
	}
}

func withDevices(n string) func(*corev1.Node, *corev1.NodeStatus) {
	return func(_ *corev1.Node, s *corev1.NodeStatus) {
		s.Allocatable["example.com/gpu"] = resource.MustParse(n)
		s.Allocatable["hugepages-2Mi"] = resource.MustParse("64Mi")
	}
}

func TestPlace_OtherResources(t *testing.T) {
	two := nodeRecord("a", withDevices("2"))
	x := indexOf(two, nodeRecord("b", nil))
	for i, name := range []string{"one", "two"} {
		p := podOf(name, "1", "", device("1"))
		to, why := x.Place(p)
		if to != "a" {
			t.Fatalf("device %d: placed on %q: %s", i, to, why)
		}
		x.Assume(podRecord(p, to).UID, p, to)
	}
	const none = "0/2 nodes are available: 2 Insufficient example.com/gpu (requested 1, free 0)."
	if to, why := x.Place(podOf("three", "1", "", device("1"))); to != "" || why != none {
		t.Errorf("a third device: got %q %q, want %q", to, why, none)
	}
	// One that ends gives its device back.
	one := podRecord(podOf("one", "1", "", device("1")), "a")
	x.Update([]state.Change{{Ref: one.Ref, Old: one}})
	if to, why := x.Place(podOf("three", "1", "", device("1"))); to != "a" {
		t.Errorf("after one ended: %q", why)
	}
	// A device that fails is no longer there to be had.
	x.Update([]state.Change{{Ref: two.Ref, Old: two, New: nodeRecord("a", withDevices("1"))}})
	if to, why := x.Place(podOf("three", "1", "", device("1"))); to != "" || why != none {
		t.Errorf("after a device failed: got %q %q", to, why)
	}
	huge := podOf("huge", "1", "", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests["hugepages-2Mi"] = resource.MustParse("100Mi")
	})
	const want = "0/2 nodes are available: 2 Insufficient hugepages-2Mi (requested 100Mi, free 64Mi)."
	if to, why := x.Place(huge); to != "" || why != want {
		t.Errorf("huge pages: got %q %q, want %q", to, why, want)
	}
}

// What a node has none of costs nothing, however many kinds it lists.
func TestAmount_HasNoZeros(t *testing.T) {
	zero := resource.MustParse("0")
	a := amountOf(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), "hugepages-2Mi": zero, "hugepages-1Gi": zero})
	if a.more != nil || a.cpu != 4000 {
		t.Errorf("a node without huge pages: %+v", a)
	}
	one := amountOf(corev1.ResourceList{"example.com/gpu": resource.MustParse("1")})
	a.add(one, 1)
	if a.more["example.com/gpu"] != 1 || one.empty() {
		t.Errorf("with a device: %+v", a)
	}
	if a.add(one, -1); len(a.more) != 0 {
		t.Errorf("after it is gone: %+v", a)
	}
}

// Sidecars add to what runs, init containers raise it, the Pod's own requests replace it, overhead comes on top.
func TestNeedOf(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	cpu := func(n string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(n)}}
	}
	for name, tt := range map[string]struct {
		change func(*corev1.Pod)
		want   int64
	}{
		"containers":     {func(*corev1.Pod) {}, 1000},
		"init container": {func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Resources: cpu("3")}} }, 3000},
		"sidecar": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Resources: cpu("500m"), RestartPolicy: &always}, {Resources: cpu("700m")}}
		}, 1500},
		"of the pod": {func(p *corev1.Pod) { r := cpu("2"); p.Spec.Resources = &r }, 2000},
		"overhead":   {func(p *corev1.Pod) { p.Spec.Overhead = cpu("250m").Requests }, 1250},
	} {
		if got := needOf(podOf("p", "1", "", tt.change)); got.cpu != tt.want || got.pods != 1 {
			t.Errorf("%s: %dm of CPU and %d pods, want %dm and 1", name, got.cpu, got.pods, tt.want)
		}
	}
}

// What is resized counts as the most of what it has and what it is to have; what can never be is not counted.
func TestNeed_Resized(t *testing.T) {
	for name, tt := range map[string]struct {
		desired, allocated, actual string
		reason                     string
		want                       int64
	}{
		"grows":      {desired: "3", allocated: "1", actual: "1", reason: corev1.PodReasonDeferred, want: 3000},
		"shrinks":    {desired: "1", allocated: "2", actual: "2", want: 2000},
		"under way":  {desired: "1", allocated: "1", actual: "2", want: 2000},
		"infeasible": {desired: "100", allocated: "2", actual: "2", reason: corev1.PodReasonInfeasible, want: 2000},
	} {
		p := podOf("p", tt.desired, "", nil)
		p.Spec.Containers[0].Name = "c"
		r := podRecord(p, "a")
		status := &corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name:               "c",
			AllocatedResources: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(tt.allocated)},
			Resources:          &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(tt.actual)}},
		}}}
		if tt.reason != "" {
			status.Conditions = []corev1.PodCondition{{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: tt.reason}}
		}
		r.Status = status
		x := indexOf(nodeRecord("a", nil), r)
		if got := x.byName["a"].used.cpu; got != tt.want {
			t.Errorf("%s: %dm are used, want %dm", name, got, tt.want)
		}
	}
}
