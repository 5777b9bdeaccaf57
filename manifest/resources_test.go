package manifest

import (
	"strings"
	"testing"
)

// What is wrong with resources is said before anything runs, where it stands.
func TestLoad_BadResources(t *testing.T) {
	for name, test := range map[string]struct{ resources, spec, want string }{
		"limit below its request": {"{requests: {cpu: 2}, limits: {cpu: 1}}", "",
			`spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`},
		"negative":               {"{requests: {memory: -1}}", "", `must be greater than or equal to 0`},
		"no such resource":       {"{limits: {gpu: 1}}", "", `must be a standard resource type or fully qualified`},
		"half a device":          {"{limits: {example.com/gpu: 500m}}", "", `must be an integer`},
		"a device without limit": {"{requests: {example.com/gpu: 1}}", "", `Limit must be set for non overcommitable resources`},
		"huge pages alone":       {"{limits: {hugepages-2Mi: 2Mi}}", "", `HugePages require cpu or memory`},
		"not of the page":        {"{limits: {memory: 1Mi, hugepages-2Mi: 3Mi}}", "", `is not positive integer multiple of hugepages-2Mi`},
		"of the pod, too little": {"{requests: {cpu: 2}}", "resources: {requests: {cpu: 1}}", `must be greater than or equal to aggregate container requests of 2`},
		"of the pod, a disk":     {"{}", "resources: {requests: {ephemeral-storage: 1Gi}}", `Unsupported value: "ephemeral-storage"`},
	} {
		text := "-- pod.yaml --\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  " + test.spec + "\n  containers:\n  - name: c\n    image: c\n    resources: " + test.resources + "\n"
		got := mistakesOf(t, tree(t, text))
		if !strings.Contains(got, test.want) || !strings.HasPrefix(got, "pod.yaml:") {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
