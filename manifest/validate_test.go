package manifest

import (
	"strings"
	"testing"
	"testing/fstest"
)

// Everything that is wrong with an object is said at once: what the rules say, and what Writ adds to them. A wrong value that
// is an object of Go is not repeated.
func TestLoad_AllOfAnObject(t *testing.T) {
	const text = `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: both, annotations: {writ.dev/drain: "yes"}}
spec: {minAvailable: 1, maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: zero, annotations: {writ.dev/replace-pods: "a, *", writ.dev/rollback-on-failure: "on"}}
spec:
  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: "0%"}}
  selector: {matchLabels: {app: zero}}
  template: {metadata: {labels: {app: zero}}, spec: {containers: [{name: c, image: c}]}}
`
	want := []string{
		"all.yaml:3: PodDisruptionBudget/default/both: metadata.annotations[writ.dev/drain]: only a Node can be drained; a PodDisruptionBudget cannot",
		"all.yaml:4: PodDisruptionBudget/default/both: spec: Invalid value: minAvailable and maxUnavailable cannot be both set",
		`all.yaml:8: Deployment/default/zero: metadata.annotations[writ.dev/replace-pods]: "*" is every pod; it stands alone`,
		`all.yaml:8: Deployment/default/zero: metadata.annotations[writ.dev/rollback-on-failure]: "on" must be true or false`,
		"all.yaml:10: Deployment/default/zero: spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
	}
	_, err := Load(fstest.MapFS{"all.yaml": {Data: []byte(text)}}, nil)
	if err == nil {
		t.Fatal("nothing was found")
	}
	for _, line := range want {
		if !strings.Contains(err.Error()+"\n", line+"\n") {
			t.Errorf("missing %s\nin %v", line, err)
		}
	}
	if got := strings.Count(err.Error(), "all.yaml:"); got != len(want) {
		t.Errorf("%d mistakes, want %d:\n%v", got, len(want), err)
	}
}
