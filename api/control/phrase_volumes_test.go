package control

import (
	"testing"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// What claims and volumes show, alone and in the tree, where they stand though they own nothing.
func TestPhrase_Volumes(t *testing.T) {
	claim, volume := manifest.ClaimRef("d", "c"), manifest.VolumeRef("v")
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	bound := &corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: size}
	has := &state.Allocation{Volume: "v"}
	waits := &corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending, Conditions: []corev1.PersistentVolumeClaimCondition{{
		Type: "writ.dev/Pending", Status: corev1.ConditionTrue, Reason: "WaitForFirstConsumer", Message: "waiting for first consumer to be created before binding"}}}
	for _, tt := range []struct {
		name          string
		claim, volume state.Put
		wantClaim     string
		wantVolume    string
	}{
		{"new", state.Put{}, state.Put{}, "Pending: not looked at yet", "Pending"},
		{"waiting", state.Put{Status: waits}, state.Put{Status: &corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable}},
			"Pending: waiting for first consumer to be created before binding", "Available"},
		{"bound", state.Put{Allocation: has, Status: bound}, state.Put{Allocation: &state.Allocation{Claim: &state.Claimed{Namespace: "d", Name: "c", UID: "c"}}, Status: &corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound}},
			"Bound: v, 1Gi", "Bound: d/c"},
		{"going", state.Put{Allocation: has, Status: bound, Deletion: &state.Deletion{Reason: "no longer declared"}}, state.Put{Deletion: &state.Deletion{}, Status: &corev1.PersistentVolumeStatus{Phase: corev1.VolumeFailed, Message: "it is busy"}},
			"Terminating: no longer declared", "Terminating: it is busy"},
		{"lost", state.Put{Allocation: has, Status: &corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimLost}}, state.Put{},
			"Lost: its volume v is gone", "Pending"},
	} {
		tt.claim.Ref, tt.claim.UID, tt.claim.Origin = claim, "c", state.Derived
		tt.claim.Object = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "c"}}
		tt.volume.Ref, tt.volume.Origin = volume, state.Derived
		tt.volume.Object = &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}}
		w, _, err := state.Apply(state.NewWorld(uuid.Nil), state.Batch{Writer: state.WriterReconcile, Puts: []state.Put{tt.claim, tt.volume}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		leaves := Tree(w, "")
		if len(leaves) != 2 {
			t.Fatalf("%s: the tree shows %v, want the volume and the claim", tt.name, leaves)
		}
		if got := leaves[1].State; got != tt.wantClaim {
			t.Errorf("%s: claim %q, want %q", tt.name, got, tt.wantClaim)
		}
		if got := leaves[0].State; got != tt.wantVolume {
			t.Errorf("%s: volume %q, want %q", tt.name, got, tt.wantVolume)
		}
	}
}
