package manifest

import (
	"strings"
	"testing"
)

func TestCheck_StatefulSetNames(t *testing.T) {
	for n, want := range map[int]string{52: "", 53: "metadata.name: Invalid value"} {
		set := strings.Replace(app(strings.Repeat("a", n), plain), "kind: Deployment", "kind: StatefulSet", 1)
		got := checked(t, "-- a.yaml --\n"+set)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%d characters: got %q, want %q", n, got, want)
		}
	}
}

// Two StatefulSets may have claims of the same names only by a dash in the right place.
func TestCheck_StatefulSetClaims(t *testing.T) {
	set := func(name, claim string) string {
		return "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: " + name + "}\nspec:\n  selector: {matchLabels: {app: " + name + "}}\n  volumeClaimTemplates:\n  - metadata: {name: " + claim +
			"}\n    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n  template: {metadata: {labels: {app: " + name + "}}, spec: {containers: [{name: c, image: c}]}}\n"
	}
	const shared = `b.yaml:7: StatefulSet/default/x: spec.volumeClaimTemplates[0].metadata.name: Invalid value: "data-web": its claims are named data-web-x-0 and so on, as those of StatefulSet/default/web-x in a.yaml:1; their pods would share volumes`
	for claim, want := range map[string]string{"data-web": shared, "data": "", "web": ""} {
		got := strings.TrimSpace(checked(t, "-- a.yaml --\n"+set("web-x", "data")+"-- b.yaml --\n"+set("x", claim)))
		if got != want {
			t.Errorf("%s: got  %s\nwant %s", claim, got, want)
		}
	}
}
