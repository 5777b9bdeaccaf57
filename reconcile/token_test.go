package reconcile_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// A cluster from before tokens were mounted goes on as it is under a daemon that mounts them: the
// certificate of the authority comes to every namespace, and no pod is made again, neither at the start,
// nor by the same commit, nor by one that changes something else. A pod that is made anew has its token.
func TestToken_AfterAnUpgrade(t *testing.T) {
	c := scenario.NewCluster()
	mustCommit(t, c, files("web.yaml", web))
	adopted := c.World.Adopted()
	old := state.Batch{Writer: state.WriterReconcile, Base: c.World.Revision(), Adopt: &adopted, Now: c.Now}
	for r := range c.World.Records() {
		if pod := r.Pod(); pod != nil {
			before := pod.DeepCopy()
			before.Spec.Volumes, before.Spec.Containers[0].VolumeMounts = nil, nil
			old.Puts = append(old.Puts, state.Put{Ref: r.Ref, UID: r.UID, Object: before, Origin: r.Origin, Why: "as an older daemon made it"})
		}
	}
	if len(old.Puts) != 3 {
		t.Fatalf("%d pods, want 3", len(old.Puts))
	}
	if _, err := c.Apply(old); err != nil {
		t.Fatal(err)
	}
	before := identities(c.World)

	c.Options.RootCA = "-----BEGIN CERTIFICATE-----\n"
	plan, err := c.Compute()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plan.Batch.Puts {
		if p.Ref.Kind != "ConfigMap" || p.Ref.Name != "kube-root-ca.crt" {
			t.Errorf("the plan puts %s, want nothing but the certificate", p.Ref)
		}
	}
	if len(plan.Batch.Puts) == 0 || len(plan.Batch.Deletes) > 0 {
		t.Errorf("plan is %s, want the certificate in every namespace", plan)
	}
	cm := c.World.Get(manifest.ConfigMapRef("default", "kube-root-ca.crt")).Object.(*corev1.ConfigMap)
	if cm.Data["ca.crt"] != c.Options.RootCA {
		t.Errorf("kube-root-ca.crt holds %v", cm.Data)
	}
	if plan, err = c.Compute(); err != nil || !plan.Empty() {
		t.Errorf("the next plan: %v\n%s, want none", err, plan)
	}
	if plan, err = reconcile.Adopt(c.World, c.Set, reconcile.Commit{Hash: adopted.Commit}, c.Now, c.Options); err != nil || !plan.Empty() {
		t.Errorf("the plan of the adopted commit: %v\n%s, want none", err, plan)
	}
	mustCommit(t, c, files("web.yaml", web, "cm.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"))
	if after := identities(c.World); after != before {
		t.Errorf("after the upgrade there are\n%swant\n%s", after, before)
	}
	mustCommit(t, c, files("web.yaml", strings.ReplaceAll(web, "img:1", "img:2")))
	for r := range c.World.Records() {
		if pod := r.Pod(); pod != nil && r.Deletion == nil && strings.HasPrefix(pod.Name, "web-") && (len(pod.Spec.Volumes) != 1 || !strings.HasPrefix(pod.Spec.Volumes[0].Name, "kube-api-access-")) {
			t.Errorf("%s was made anew with the volumes %v, want its token", pod.Name, pod.Spec.Volumes)
		}
	}
}
