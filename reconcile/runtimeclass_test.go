package reconcile_test

import (
	"strings"
	"testing"

	"writ/fixtures/scenario"
	"writ/reconcile"
)

// What an author takes away from a running Pod is refused, and not passed over as if its class had added it.
func TestAdopt_TakesAwayFromAClassedPod(t *testing.T) {
	const class = `{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: c}, handler: runc, scheduling: {tolerations: [{key: added, operator: Exists}]}}`
	pod := func(spec string) string {
		return `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {runtimeClassName: c, ` + spec + `containers: [{name: c, image: "img:1"}]}}`
	}
	c := scenario.NewCluster()
	mustCommit(t, c, files("class.yaml", class, "p.yaml", pod(`tolerations: [{key: own, operator: Exists}], `)))
	before := identities(c.World)
	mustCommit(t, c, files("class.yaml", class, "p.yaml", "# the same\n"+pod(`tolerations: [{key: own, operator: Exists}], `)))
	if after := identities(c.World); after != before {
		t.Errorf("nothing was changed, and it is\n%s\nnot\n%s", after, before)
	}
	_, err := c.Commit(files("class.yaml", class, "p.yaml", pod("")), reconcile.Commit{})
	if err == nil || !strings.Contains(err.Error(), "tolerations") {
		t.Errorf("a toleration is taken away: got %v", err)
	}
}
