package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// mounts makes a Pod mount a claim.
func mounts(claim string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/data"}}
	}
}

// bindClaim puts a claim with a volume that is a folder of a node.
func (f *world) bindClaim(t testing.TB, on state.Node, claim, volume string) {
	t.Helper()
	f.decide(t, state.Batch{Puts: []state.Put{{Ref: manifest.ClaimRef("default", claim), Origin: state.Derived, Allocation: &state.Allocation{Volume: volume},
		Object: &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: claim}}}}})
	uid := f.World().Get(manifest.ClaimRef("default", claim)).UID
	f.decide(t, state.Batch{Puts: []state.Put{{Ref: manifest.VolumeRef(volume), Origin: state.Derived, Node: on, Allocation: &state.Allocation{Claim: &state.Claimed{Namespace: "default", Name: claim, UID: uid}},
		Object: &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volume, Annotations: map[string]string{state.ProvisionedBy: state.LocalProvisioner}}}}}})
}

// TestClaim_FromBindingToRemoval: a Pod waits for its claim, gets a folder, leaves it behind, and the node removes it
// when that is decided.
func TestClaim_FromBindingToRemoval(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("db", "img", mounts("data")))
		settle()
		if s := g.status("db"); s.Phase != corev1.PodPending || !strings.Contains(strings.Join(g.told, "\n"), `FailedMount: MountVolume.SetUp failed for volume "v" : error processing PVC default/data: failed to fetch PVC from API server: persistentvolumeclaims "data" not found`) {
			t.Fatalf("without a claim: %s\n%s", s.Phase, strings.Join(g.told, "\n"))
		}
		g.world.bindClaim(t, node, "data", "pvc-1")
		settle()
		files := filepath.Join(VolumesDir(g.r.cfg.DataDir), "pvc-1", "files")
		if !ready(g.status("db")) {
			t.Fatalf("the claim is bound, and the pod does not run: %v", g.status("db"))
		}
		if err := os.WriteFile(filepath.Join(files, "f"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		restored, err := g.r.Restore(t.Context())
		if err != nil || !refersTo(restored, manifest.VolumeRef("pvc-1")) || !refersTo(restored, manifest.ClaimRef("default", "data")) {
			t.Errorf("restored %v, %v; want the volume and its claim", restored, err)
		}
		g.world.end(t, "default", "db", 0)
		after(3 * time.Second)
		g.world.decide(t, state.Batch{Deletes: []state.Delete{{Ref: manifest.PodRef("default", "db")}}})
		settle()
		if _, err := os.Stat(filepath.Join(files, "f")); err != nil {
			t.Fatalf("the file went with the pod: %v", err)
		}
		if restored, _ := g.r.Restore(t.Context()); !refersTo(restored, manifest.VolumeRef("pvc-1")) {
			t.Error("without a pod the volume is not restored")
		}
		g.world.decide(t, state.Batch{Puts: []state.Put{{Ref: manifest.VolumeRef("pvc-1"), Deletion: &state.Deletion{At: time.Now()}}}})
		settle()
		if _, err := os.Stat(files); !os.IsNotExist(err) {
			t.Errorf("the folder is there: %v", err)
		}
		if rec := g.world.World().Get(manifest.VolumeRef("pvc-1")); !removed(rec) {
			t.Errorf("nobody says that it is removed: %v", rec.Status)
		}
	})
}

func refersTo(records []*state.Record, ref manifest.Ref) bool {
	for _, r := range records {
		if r.Ref == ref {
			return true
		}
	}
	return false
}
