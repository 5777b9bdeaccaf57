package manifest

import (
	"strings"
	"testing"
)

// TestCheck_ExclusiveClaims: a claim of one Pod in Deployments that want it twice, in number or over time.
func TestCheck_ExclusiveClaims(t *testing.T) {
	const claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOncePod], storageClassName: local, resources: {requests: {storage: 1Gi}}}\n"
	const wait = "PersistentVolumeClaim/default/data for itself (ReadWriteOncePod), and no pod may go before a new one is ready: a change of the template would wait for ever"
	for _, tt := range []struct{ name, spec, claim, want string }{
		{"the defaults of one replica keep the old pod", "", claim, wait},
		{"two replicas", "  replicas: 2\n", claim, "for itself (ReadWriteOncePod): of 2 pods one can run"},
		{"one may be missing", "  strategy: {rollingUpdate: {maxUnavailable: 1}}\n", claim, ""},
		{"recreated", "  strategy: {type: Recreate}\n", claim, ""},
		{"none runs", "  replicas: 0\n", claim, ""},
		{"a claim of many", "  replicas: 2\n", strings.Replace(claim, "OncePod", "Many", 1), ""},
	} {
		text := app("a", plain+"\nvolumes: [{name: v, persistentVolumeClaim: {claimName: data}}]")
		got := checked(t, "-- a.yaml --\n"+strings.Replace(text, "spec:\n", "spec:\n"+tt.spec, 1)+tt.claim)
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if tt.want != "" && !strings.Contains(got, "spec.template.spec.volumes[0].persistentVolumeClaim.claimName") {
			t.Errorf("%s: no field is named: %q", tt.name, got)
		}
	}
}
