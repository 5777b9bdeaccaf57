package manifest

import (
	"strings"
	"testing"
)

const reported = `-- a.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: good, uid: x}
data:
  a.b: "1"
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: inner}
  data: {x: "1"}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: bad}
  dada: {}
`

// Warnings and valid objects are told also beside mistakes, which are those of Load.
func TestLoader_Check(t *testing.T) {
	files := tree(t, reported)
	r, err := Loader{}.Check(files, nil)
	if err != nil || r.Set == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	_, loaded := Load(files, nil)
	if got := r.Mistakes.Error(); loaded == nil || got != loaded.Error() || !strings.Contains(got, "a.yaml:17: ConfigMap/default/bad: unknown field") {
		t.Errorf("mistakes: %s, Load: %v", got, loaded)
	}
	if got := r.Warnings.Error(); !strings.Contains(got, "a.yaml:3: ConfigMap/default/good: metadata.uid") {
		t.Errorf("warnings: %s", got)
	}
	var refs []string
	for item := range r.Set.All() {
		refs = append(refs, item.Ref.String())
	}
	if got := strings.Join(refs, " "); got != "ConfigMap/default/good ConfigMap/default/inner" {
		t.Errorf("objects: %s", got)
	}
	var lines []string
	for _, s := range r.Set.Places(files, []Place{
		{ConfigMapRef("default", "inner"), "data[x]"}, {ConfigMapRef("default", "none"), "data"}, {ConfigMapRef("default", "good"), "data[a.b]"},
		{ConfigMapRef("default", "good"), "immutable"}, {ConfigMapRef("default", "inner"), ""},
	}) {
		lines = append(lines, s.String())
	}
	if got, want := strings.Join(lines, ", "), "a.yaml:13, , a.yaml:5, a.yaml:1, a.yaml:10"; got != want {
		t.Errorf("places: %s, want %s", got, want)
	}
}
