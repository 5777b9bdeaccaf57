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
