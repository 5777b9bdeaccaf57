package sim_test

import (
	"testing"
	"testing/fstest"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/reconcile/sim"
	"writ/state"
)

// A Pod that has ended, by itself or because it was deleted, has nothing left in which a container could start.
func TestNode_ReadyToStartContainers(t *testing.T) {
	for _, tt := range []struct {
		phase   corev1.PodPhase
		deleted bool
		want    bool
	}{
		{want: true},
		{phase: corev1.PodSucceeded},
		{phase: corev1.PodFailed},
		{deleted: true},
	} {
		c := scenario.NewCluster()
		n := sim.Node{Behave: func(*corev1.Pod) sim.Behaviour { return sim.Behaviour{Phase: tt.phase} }}
		c.Nodes["node-1"] = n
		tree := fstest.MapFS{"p.yaml": {Data: []byte(`{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: "img:1"}]}}`)}}
		if _, err := c.Commit(tree, reconcile.Commit{}); err != nil {
			t.Fatal(err)
		}
		ref := manifest.PodRef("default", "p")
		for range 4 { // the node comes, then the Pod is bound, then it starts
			if _, _, err := c.Observe("node-1"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Compute(); err != nil {
				t.Fatal(err)
			}
		}
		if tt.deleted {
			gone := state.Put{Ref: ref, Deletion: &state.Deletion{At: c.Now, Grace: 0}}
			if _, err := c.Apply(state.Batch{Writer: state.WriterReconcile, Base: c.World.Revision(), Now: c.Now, Puts: []state.Put{gone}}); err != nil {
				t.Fatal(err)
			}
			c.Now = c.Now.AddDate(0, 0, 1)
			if _, _, err := c.Observe("node-1"); err != nil {
				t.Fatal(err)
			}
		}
		s := c.World.Get(ref).PodStatus()
		got := state.PodCondition(s, corev1.PodReadyToStartContainers)
		if got == nil || (got.Status == corev1.ConditionTrue) != tt.want || state.PodIs(s, state.PodStopped) != tt.deleted {
			t.Errorf("%+v: %+v of %+v", tt, got, s)
		}
	}
}
