package control_test

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"writ/api/control"
	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/reconcile/sim"
	"writ/state"

	corev1 "k8s.io/api/core/v1"
)

// rolledCluster runs a Deployment of two Pods with image 1, whose image 2 never becomes ready.
func rolledCluster(t *testing.T) (*scenario.Cluster, func(image, subject string)) {
	t.Helper()
	c := scenario.NewCluster()
	c.Nodes["node-1"] = sim.Node{Behave: func(p *corev1.Pod) sim.Behaviour {
		return sim.Behaviour{NeverReady: p.Spec.Containers[0].Image == "img:2"}
	}}
	return c, func(image, subject string) {
		t.Helper()
		tree := fstest.MapFS{"web.yaml": {Data: fmt.Appendf(nil, `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, progressDeadlineSeconds: 60,
  selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "%s"}]}}}}
`, image)}}
		if _, err := c.Commit(tree, reconcile.Commit{Subject: subject, Author: "Ann <ann@example.com>"}); err != nil {
			t.Fatal(err)
		}
		settle(t, c)
	}
}

func settle(t *testing.T, c *scenario.Cluster) {
	t.Helper()
	for range 20 {
		if _, _, err := c.Observe(state.Node("node-1")); err != nil {
			t.Fatal(err)
		}
		plan, err := c.Compute()
		if err != nil {
			t.Fatal(err)
		}
		if plan.Empty() {
			return
		}
	}
	t.Fatal("it does not settle")
}

func TestRollout_FromCommitToOutcome(t *testing.T) {
	c, commit := rolledCluster(t)
	ref := manifest.DeploymentRef("default", "web")
	commit("img:1", "first")
	x := control.RolloutOf(c.World, ref, c.Now)
	if x.Health != control.Healthy || x.New != 2 || x.Old != 0 || x.Available != 2 || x.Outcome != reconcile.Complete || x.Subject != "first" || x.Waits != "" {
		t.Errorf("after the first commit: %+v", x)
	}
	c.Now = c.Now.Add(10 * time.Second)
	commit("img:2", "broken")
	c.Now = c.Now.Add(3 * time.Second)
	x = control.RolloutOf(c.World, ref, c.Now)
	if x.Health.Fine() || x.New != 1 || x.Old != 2 || x.Available != 2 || x.Wanted != 2 || x.Subject != "broken" || x.Outcome != "" || x.Waits == "" || !x.Since.Equal(c.Now.Add(-3*time.Second)) {
		t.Errorf("on its way: %+v", x)
	}
	if all := control.Rollouts(c.World, "", c.Now); len(all) != 1 || all[0].Name != "web" {
		t.Errorf("on its way: %+v", all)
	}
	c.Now = c.Now.Add(58 * time.Second)
	settle(t, c)
	if x = control.RolloutOf(c.World, ref, c.Now); x.Outcome != reconcile.Failed || x.Health != control.Degraded {
		t.Errorf("after its deadline: %+v", x)
	}
	commit("img:3", "mended")
	entries, ok := control.Revisions(c.World, c.World.Get(ref))
	if !ok || len(entries) != 3 {
		t.Fatalf("revisions: %+v", entries)
	}
	for i, want := range []control.Entry{
		{Revision: 3, Subject: "mended", Outcome: "complete", Current: true},
		{Revision: 2, Subject: "broken", Outcome: "failed", Seconds: 61},
		{Revision: 1, Subject: "first", Outcome: "complete"},
	} {
		got := entries[i]
		if got.Revision != want.Revision || got.Subject != want.Subject || got.Outcome != want.Outcome || got.Current != want.Current || got.Seconds != want.Seconds || got.Author != "Ann <ann@example.com>" {
			t.Errorf("revision %d: %+v, want %+v", want.Revision, got, want)
		}
	}
	if len(control.Rollouts(c.World, "default", c.Now)) != 0 || !control.RolloutOf(c.World, manifest.DeploymentRef("default", "no"), c.Now).Gone {
		t.Error("something is on its way, or there though it is not")
	}
	if _, ok := control.Revisions(c.World, c.World.Get(manifest.NamespaceRef("default"))); ok {
		t.Error("a namespace has revisions")
	}
}
