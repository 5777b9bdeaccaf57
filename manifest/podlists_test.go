package manifest

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPodList(t *testing.T) {
	for _, tt := range []struct{ key, value, want string }{
		{QuarantineAnnotation, "web-1", "[web-1]"},
		{QuarantineAnnotation, " web-1 , web-2,web-1 ", "[web-1 web-2]"},
		{QuarantineAnnotation, "web-1 # it hangs, see the ticket", "[web-1]"},
		{ReplacePodsAnnotation, "*", "[*]"},
		{ReplacePodsAnnotation, "* # second time", "[*]"},
		{QuarantineAnnotation, "*", `"*": pods are let go one by one; name each`},
		{ReplacePodsAnnotation, "web-1,*", `"*" is every pod; it stands alone`},
		{ReplacePodsAnnotation, "", "names no pod; remove the annotation"},
		{ReplacePodsAnnotation, "# web-1", "names no pod; remove the annotation"},
		{ReplacePodsAnnotation, "web-1,,web-2", `"" is not the name of a pod; names are separated by commas`},
		{ReplacePodsAnnotation, "web-1 web-2", `"web-1 web-2" is not the name of a pod; names are separated by commas`},
	} {
		set, err := Load(fstest.MapFS{"a.yaml": {Data: fmt.Appendf(nil, "{apiVersion: v1, kind: ConfigMap, metadata: {name: m, annotations: {x: %q}}}", tt.value)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		item, _ := set.Get(ConfigMapRef("default", "m"))
		item.Object.GetAnnotations()[tt.key] = item.Object.GetAnnotations()["x"]
		names, err := PodList(item.Object, tt.key)
		got := fmt.Sprint(names)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q: got %s, want %s", tt.key, tt.value, got, tt.want)
		}
	}
}

func TestLoad_PodLists(t *testing.T) {
	const text = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations:
    writ.dev/quarantine: web_1
    writ.dev/replace-pods: ""
    writ.dev/on-delete: keep
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "img:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: m
  annotations:
    writ.dev/quarantine: web-1
    writ.dev/on-delete: orphan
`
	_, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, nil)
	if err == nil {
		t.Fatal("no mistakes")
	}
	want := []string{
		`a.yaml:6: Deployment/default/web: metadata.annotations[writ.dev/quarantine]: "web_1" is not the name of a pod; names are separated by commas`,
		`a.yaml:7: Deployment/default/web: metadata.annotations[writ.dev/replace-pods]: names no pod; remove the annotation`,
		`a.yaml:8: Deployment/default/web: metadata.annotations[writ.dev/on-delete]: "keep" must be orphan or delete`,
		`a.yaml:20: ConfigMap/default/m: metadata.annotations[writ.dev/quarantine]: a ConfigMap has no pods of its own`,
		`a.yaml:21: ConfigMap/default/m: metadata.annotations[writ.dev/on-delete]: a ConfigMap makes nothing that could be left behind`,
	}
	if got := strings.TrimSpace(err.Error()); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}
