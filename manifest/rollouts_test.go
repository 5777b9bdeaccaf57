package manifest

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestLoad_RolloutAnnotations(t *testing.T) {
	const text = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations:
    writ.dev/restart-on-config-change: "no"
    writ.dev/rollback-on-failure: "yes"
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        writ.dev/restart-on-config-change: "False"
    spec: {containers: [{name: c, image: "img:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: m
  annotations:
    writ.dev/restart-on-config-change: "false"
    writ.dev/rollback-on-failure: "true"
`
	_, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, nil)
	if err == nil {
		t.Fatal("no mistakes")
	}
	want := []string{
		`a.yaml:6: Deployment/default/web: metadata.annotations[writ.dev/restart-on-config-change]: "no" must be true or false`,
		`a.yaml:7: Deployment/default/web: metadata.annotations[writ.dev/rollback-on-failure]: "yes" must be true or false`,
		`a.yaml:14: Deployment/default/web: spec.template.metadata.annotations[writ.dev/restart-on-config-change]: "False" must be true or false`,
		`a.yaml:22: ConfigMap/default/m: metadata.annotations[writ.dev/restart-on-config-change]: a ConfigMap is not rolled out`,
		`a.yaml:23: ConfigMap/default/m: metadata.annotations[writ.dev/rollback-on-failure]: only a Deployment can go back; a ConfigMap cannot`,
	}
	if got := strings.TrimSpace(err.Error()); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}
