package reconcile

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// A Pod that the system ends for the sake of its node says so; one that has ended itself was not disrupted.
func TestPod_Disrupted(t *testing.T) {
	tainted := corev1.NodeSpec{Taints: []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoExecute}}}
	for _, tt := range []struct {
		name, pods string
		node       *corev1.NodeSpec // nil: there is none
		going      bool
		want       string
	}{
		{name: "node gone", pods: "r", going: true, want: "DeletionByPodGC"},
		{name: "ended, node gone", pods: "s", going: true},
		{name: "driven out", pods: "r", node: &tainted, going: true, want: "DeletionByTaintManager"},
		{name: "ended, not driven out", pods: "s", node: &tainted},
		{name: "stays", pods: "r", node: &corev1.NodeSpec{}},
	} {
		d := newDraft(litter(t, tt.pods), time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), Options{})
		if tt.node != nil {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: *tt.node}
			d.put(state.Put{Ref: manifest.NodeRef("n"), Object: node, Origin: state.Derived})
		}
		ref := manifest.PodRef("default", tt.pods+"0")
		d.pod(d.w.Get(ref))
		r := d.w.Get(ref)
		if d.err != nil || r == nil || (r.Deletion != nil) != tt.going {
			t.Errorf("%s: %v: %+v, want going %t", tt.name, d.err, r, tt.going)
			continue
		}
		got := ""
		if c := state.PodCondition(&r.Full().(*corev1.Pod).Status, corev1.DisruptionTarget); c != nil {
			got = c.Reason
		}
		if got != tt.want {
			t.Errorf("%s: DisruptionTarget is %q, want %q", tt.name, got, tt.want)
		}
	}
}
