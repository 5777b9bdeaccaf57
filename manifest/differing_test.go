package manifest

import (
	"slices"
	"strings"
	"testing"
)

// Of a template that must not change a reviewer wants to know what changed in it, not the template.
func TestValidateUpdate_TellsWhatDiffers(t *testing.T) {
	const job = `apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    metadata: {annotations: {example.com/a: one}}
    spec: {restartPolicy: Never, nodeSelector: {disk: ssd}, containers: [{name: c, image: "img:1", env: [{name: A, value: one}]}, {name: d, image: "img:1"}]}
`
	for _, test := range []struct {
		name  string
		edits []string // old and new, by turns
		want  string
	}{
		{"a field", []string{`name: c, image: "img:1"`, `name: c, image: "img:2"`}, "spec.template.spec.containers[0].image"},
		{"in several places", []string{"ssd", "hdd", "value: one", "value: two", "example.com/a: one", "example.com/a: two"},
			"spec.template.metadata.annotations[example.com/a], spec.template.spec.containers[0].env[0].value, spec.template.spec.nodeSelector.disk"},
		{"what is new", []string{"restartPolicy: Never", "restartPolicy: Never, hostname: h"}, "spec.template.spec.hostname"},
		{"one container less", []string{`, {name: d, image: "img:1"}`, ""}, "spec.template.spec.containers"},
		{"nearly all", []string{"nodeSelector: {disk: ssd}", "nodeSelector: {a: b, c: d, e: f, g: h, i: j}"},
			"spec.template.spec.nodeSelector.a, spec.template.spec.nodeSelector.c, spec.template.spec.nodeSelector.disk, spec.template.spec.nodeSelector.e, spec.template.spec.nodeSelector.g, and 1 more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ValidateUpdate(only(t, job), only(t, strings.NewReplacer(test.edits...).Replace(job)))
			if want := []string{"spec.template: Invalid value: field is immutable; it differs in " + test.want}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
