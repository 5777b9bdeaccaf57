package state

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

// claimed is example with a Pod on node-1 that mounts claim data, bound to a folder of the node.
func claimed(t *testing.T) *World {
	t.Helper()
	p := podPut("db", "shop:1")
	p.Node = "node-1"
	p.Object.(*corev1.Pod).Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	w := apply(t, example(t), reconcile(example(t), p, Put{Ref: manifest.ClaimRef("shop", "data"), Origin: Derived, Allocation: &Allocation{Volume: "pvc-1"},
		Object: &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data"}}}))
	uid := w.Get(manifest.ClaimRef("shop", "data")).UID
	return apply(t, w, reconcile(w, Put{Ref: manifest.VolumeRef("pvc-1"), Origin: Derived, Node: "node-1", Allocation: &Allocation{Claim: &Claimed{"shop", "data", uid}},
		Object: &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pvc-1", Annotations: map[string]string{ProvisionedBy: LocalProvisioner}}}}))
}

func TestClaimed(t *testing.T) {
	w := claimed(t)
	claim, volume := w.Claimed("shop", "data")
	if claim == nil || volume == nil || !volume.HasFolder() {
		t.Fatalf("claim %v with volume %v, want both, and that the volume is a folder", claim, volume)
	}
	if got := volume.Full().(*corev1.PersistentVolume).Spec.ClaimRef; got == nil || got.UID != claim.UID || got.Name != "data" {
		t.Errorf("the volume is shown with claim %v", got)
	}
	if got := claim.Full().(*corev1.PersistentVolumeClaim).Spec.VolumeName; got != "pvc-1" {
		t.Errorf("the claim is shown with volume %q", got)
	}
	for _, r := range []*Record{claim, volume} {
		data, err := EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeRecord(data); err != nil || cmp.Diff(r.Allocation, back.Allocation) != "" || back.Node != r.Node {
			t.Errorf("%s comes back as %v, %v", r.Ref, back, err)
		}
	}
	w = apply(t, w, Batch{Writer: WriterReconcile, Base: w.Revision(), Now: start, Puts: []Put{{Ref: volume.Ref, Allocation: &Allocation{Claim: &Claimed{"shop", "data", "another"}}}}})
	if claim, volume := w.Claimed("shop", "data"); claim == nil || volume != nil {
		t.Errorf("claim %v has volume %v, which has another", claim, volume)
	}
}

func TestView_Claims(t *testing.T) {
	w := claimed(t)
	var kin []string
	for r := range Share(w, "node-1").Kin(w.Get(manifest.PodRef("shop", "db"))) {
		kin = append(kin, r.Ref.String())
	}
	if got := strings.Join(kin, " "); !strings.Contains(got, "PersistentVolumeClaim/shop/data PersistentVolume/pvc-1") {
		t.Errorf("kin %q, want the claim and its volume", got)
	}
	if claim, volume := Share(w, "node-2").Claimed("shop", "data"); claim != nil || volume != nil {
		t.Error("a node sees a claim that none of its Pods has")
	}
	for range Share(w, "node-2").Volumes() {
		t.Error("a node sees the folder of another")
	}
}

// A node speaks of a volume only when that is to go, and is its own.
func TestApply_VolumesOfANode(t *testing.T) {
	w := claimed(t)
	removed := &corev1.PersistentVolumeStatus{Reason: VolumeRemoved}
	say := func(n Node) *corev1.PersistentVolumeStatus {
		t.Helper()
		next := apply(t, w, Batch{Writer: NodeWriter(n), Base: w.Revision(), Now: start, Puts: []Put{{Ref: manifest.VolumeRef("pvc-1"), Status: removed}}})
		s, _ := next.Get(manifest.VolumeRef("pvc-1")).Status.(*corev1.PersistentVolumeStatus)
		return s
	}
	if say("node-1") != nil {
		t.Error("a node said that a volume is removed which stays")
	}
	w = apply(t, w, reconcile(w, Put{Ref: manifest.VolumeRef("pvc-1"), Deletion: &Deletion{At: start}}))
	if say("node-2") != nil {
		t.Error("a node spoke of another's volume")
	}
	if say("node-1") == nil {
		t.Error("the node's word was passed over")
	}
}
