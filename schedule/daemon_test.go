package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The rules of upstream's NodeShouldRunDaemonPod.
func TestDaemon_On(t *testing.T) {
	tolerating := func(tolerations ...corev1.Toleration) corev1.PodSpec { return corev1.PodSpec{Tolerations: tolerations} }
	taint := func(key string, effect corev1.TaintEffect) func(*corev1.Node, *corev1.NodeStatus) {
		return func(n *corev1.Node, _ *corev1.NodeStatus) {
			n.Spec.Taints = []corev1.Taint{{Key: key, Effect: effect}}
		}
	}
	down := func(_ *corev1.Node, s *corev1.NodeStatus) {
		s.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
	}
	exists := corev1.Toleration{Operator: corev1.TolerationOpExists}
	for _, tt := range []struct {
		name string
		spec corev1.PodSpec
		node func(*corev1.Node, *corev1.NodeStatus)
		want Fit
	}{
		{name: "anything", want: Fit{true, true, true}},
		{name: "its own name", spec: corev1.PodSpec{NodeName: "n"}, want: Fit{true, true, true}},
		{name: "another name", spec: corev1.PodSpec{NodeName: "m"}},
		{name: "labels that it lacks", spec: corev1.PodSpec{NodeSelector: map[string]string{"disk": "ssd"}}},
		{name: "a taint that keeps out", node: taint("k", corev1.TaintEffectNoSchedule), want: Fit{Stays: true}},
		{name: "a taint that drives out", node: taint("k", corev1.TaintEffectNoExecute)},
		{name: "a taint that is tolerated", spec: tolerating(exists), node: taint("k", corev1.TaintEffectNoExecute), want: Fit{true, true, true}},
		{name: "a taint that only asks", node: taint("k", corev1.TaintEffectPreferNoSchedule), want: Fit{true, true, true}},
		{name: "not ready", node: down, want: Fit{Stays: true, Waited: true}},
		{name: "cordoned", node: func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.Unschedulable = true }, want: Fit{Stays: true}},
		{name: "cordoned, tolerated", spec: tolerating(corev1.Toleration{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}),
			node: func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.Unschedulable = true }, want: Fit{true, true, true}},
	} {
		r := nodeRecord("n", tt.node)
		got := NewDaemon(&corev1.Pod{Spec: tt.spec}).On(r.Object.(*corev1.Node), r.Status.(*corev1.NodeStatus))
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// A Pod that names its node in its affinity goes there and nowhere else, whatever room the others have.
func TestPlace_MatchFields(t *testing.T) {
	bind := func(names ...string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: names}}}},
			}}}
		}
	}
	x := indexOf(nodeRecord("a", nil), nodeRecord("b", nil), nodeRecord("c", nil))
	if to, why := x.Place(podOf("p", "100m", "1Mi", bind("b"))); to != "b" {
		t.Errorf("placed on %q (%s), want b", to, why)
	}
	if to, why := x.Place(podOf("p", "999", "1Mi", bind("b"))); to != "" || why != "0/3 nodes are available: 1 Insufficient cpu (requested 999, free 4), 2 node(s) didn't satisfy plugin(s) [NodeAffinity]." {
		t.Errorf("placed on %q: %s", to, why)
	}
	if to, why := x.Place(podOf("p", "100m", "1Mi", bind("gone"))); to != "" || why != "0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]." {
		t.Errorf("placed on %q: %s", to, why)
	}
}
