package reconcile_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// A resize that is not done shows, one that cannot be done as something to change.
func TestHealth_Resize(t *testing.T) {
	for _, test := range []struct {
		name      string
		condition corev1.PodCondition
		state     reconcile.State
		why       string
	}{
		{"deferred", corev1.PodCondition{Type: corev1.PodResizePending, Reason: corev1.PodReasonDeferred, Message: "no room"}, reconcile.Progressing, "resize waits: no room"},
		{"infeasible", corev1.PodCondition{Type: corev1.PodResizePending, Reason: corev1.PodReasonInfeasible, Message: "too much"}, reconcile.Degraded, "resize: too much"},
		{"in progress", corev1.PodCondition{Type: corev1.PodResizeInProgress}, reconcile.Progressing, "resizing"},
		{"failed", corev1.PodCondition{Type: corev1.PodResizeInProgress, Reason: corev1.PodReasonError, Message: "in use"}, reconcile.Degraded, "resize: in use"},
	} {
		c := scenario.NewCluster()
		mustCommit(t, c, files("pod.yaml", `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: "img:1"}]}}`))
		r := c.World.Get(manifest.PodRef("default", "p"))
		status := r.PodStatus().DeepCopy()
		test.condition.Status = corev1.ConditionTrue
		status.Conditions = append(status.Conditions, test.condition)
		next, _, err := state.Apply(c.World, state.Batch{Writer: state.NodeWriter(r.Node), Puts: []state.Put{{Ref: r.Ref, UID: r.UID, Status: status}}}, c.World.Revision()+1)
		if err != nil {
			t.Fatal(err)
		}
		if s, why := reconcile.Health(next, r.Ref); s != test.state || why != test.why {
			t.Errorf("%s: got %s %q, want %s %q", test.name, s, why, test.state, test.why)
		}
	}
}
