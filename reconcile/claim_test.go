package reconcile

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/state"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func storedClaim(class string) *corev1.PersistentVolumeClaim {
	return defaulted(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}).(*corev1.PersistentVolumeClaim)
}

func storedVolume(name string, provisioned bool) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
		PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}},
	}}
	if provisioned {
		v.Annotations = map[string]string{state.ProvisionedBy: state.LocalProvisioner}
	}
	return defaulted(v).(*corev1.PersistentVolume)
}

// stored is a World of records, with a commit that is adopted.
func stored(t *testing.T, puts ...state.Put) *state.World {
	t.Helper()
	w, _, err := state.Apply(state.NewWorld(uuid.MustParse("00000000-0000-4000-8000-000000000001")),
		state.Batch{Writer: state.WriterReconcile, Now: noon, Adopt: &state.Adoption{Commit: "c"}, Puts: puts}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// next is the World once what Compute plans is true, with its events.
func next(t *testing.T, w *state.World) (*state.World, string) {
	t.Helper()
	plan, err := Compute(w, noon, Options{})
	if err != nil {
		t.Fatal(err)
	}
	after, _, err := state.Apply(w, plan.Batch, w.Revision()+1)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Compute(after, noon, Options{}); err != nil || !again.Empty() {
		t.Errorf("after the plan there is more to do (%v):\n%s", err, again)
	}
	var events strings.Builder
	for _, e := range plan.Events {
		events.WriteString(e.Reason + " ")
	}
	return after, events.String()
}

// TestClaim_LostStore: what a lost store left of claims and volumes finds each other again by name, and nothing is
// released or removed because a record is missing.
func TestClaim_LostStore(t *testing.T) {
	has := func(other string) *state.Allocation {
		return &state.Allocation{Claim: &state.Claimed{Namespace: "default", Name: "data", UID: types.UID("uid-of-claim" + other)}}
	}
	gets := &state.Allocation{Volume: "v"}
	claim := func(a *state.Allocation) state.Put {
		return state.Put{Ref: manifest.ClaimRef("default", "data"), UID: "uid-of-claim", Origin: state.Authored, Object: storedClaim("local"), Allocation: a}
	}
	volume := func(a *state.Allocation, s state.Status) state.Put {
		return state.Put{Ref: manifest.VolumeRef("v"), Origin: state.Derived, Node: "n", Object: storedVolume("v", true), Allocation: a, Status: s}
	}
	released := &corev1.PersistentVolumeStatus{Phase: corev1.VolumeReleased}
	for _, tt := range []struct {
		name   string
		puts   []state.Put
		claim  corev1.PersistentVolumeClaimPhase // empty: there is none
		volume corev1.PersistentVolumePhase
		events string
	}{
		{"both came back", []state.Put{claim(gets), volume(has(""), nil)}, corev1.ClaimBound, corev1.VolumeBound, ""},
		{"the claim is a new one", []state.Put{claim(nil), volume(has("-before"), nil)}, corev1.ClaimBound, corev1.VolumeBound, ""},
		{"the claim remembers, the volume has another identity of it", []state.Put{claim(gets), volume(has("-before"), nil)}, corev1.ClaimBound, corev1.VolumeBound, ""},
		{"the volume forgot", []state.Put{claim(gets), volume(nil, nil)}, corev1.ClaimBound, corev1.VolumeBound, ""},
		{"no claim yet", []state.Put{volume(has("-before"), nil)}, "", corev1.VolumeBound, ""},
		{"no volume", []state.Put{claim(gets)}, corev1.ClaimLost, "", "ClaimLost "},
		{"the volume was released before", []state.Put{claim(nil), volume(has("-before"), released)}, corev1.ClaimPending, corev1.VolumeReleased, "WaitForFirstConsumer "},
	} {
		w, events := next(t, stored(t, tt.puts...))
		c, v := w.Get(manifest.ClaimRef("default", "data")), w.Get(manifest.VolumeRef("v"))
		var gotClaim corev1.PersistentVolumeClaimPhase
		var gotVolume corev1.PersistentVolumePhase
		if c != nil {
			gotClaim = c.Status.(*corev1.PersistentVolumeClaimStatus).Phase
		}
		if v != nil {
			gotVolume = v.Status.(*corev1.PersistentVolumeStatus).Phase
			if v.Deletion != nil {
				t.Errorf("%s: the volume is to be removed", tt.name)
			}
		}
		if gotClaim != tt.claim || gotVolume != tt.volume || events != tt.events {
			t.Errorf("%s: claim %q, volume %q, events %q; want %q, %q, %q", tt.name, gotClaim, gotVolume, events, tt.claim, tt.volume, tt.events)
		}
		if gotClaim == corev1.ClaimBound && v.Allocation.Claim.UID != c.UID {
			t.Errorf("%s: the volume names %s, the claim is %s", tt.name, v.Allocation.Claim.UID, c.UID)
		}
	}
}

// TestHealth_Claims: what `writ status` says of claims, volumes and classes.
func TestHealth_Claims(t *testing.T) {
	pending := func(reason string) *corev1.PersistentVolumeClaimStatus {
		return &corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending, Conditions: []corev1.PersistentVolumeClaimCondition{{Type: pendingCondition, Reason: reason, Message: "why"}}}
	}
	claimRef, volumeRef := manifest.ClaimRef("default", "data"), manifest.VolumeRef("v")
	claim := func(s state.Status) state.Put {
		p := state.Put{Ref: claimRef, Origin: state.Authored, Object: storedClaim("local"), Allocation: &state.Allocation{Volume: "v"}}
		if s != nil {
			p.Status = s
		}
		return p
	}
	volume := func(s state.Status) state.Put {
		return state.Put{Ref: volumeRef, Origin: state.Authored, Object: storedVolume("v", false), Status: s}
	}
	class := func(provisioner string) state.Put {
		return state.Put{Ref: manifest.StorageClassRef("c"), Origin: state.Authored, Object: &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Provisioner: provisioner}}
	}
	block := corev1.PersistentVolumeBlock
	raw := claim(pending(firstConsumer))
	raw.Object = storedClaim("local")
	raw.Object.(*corev1.PersistentVolumeClaim).Spec.VolumeMode = &block
	for _, tt := range []struct {
		put  state.Put
		want string
	}{
		{claim(nil), "Progressing: not looked at yet"},
		{claim(&corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}), "Healthy: "},
		{claim(&corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimLost}), "Degraded: its volume v is gone"},
		{claim(pending(firstConsumer)), "Healthy: why"},
		{claim(pending(podScheduled)), "Progressing: why"},
		{claim(pending(provisioning)), "Progressing: why"},
		{claim(pending(failedBinding)), "Degraded: FailedBinding: why"},
		{claim(pending(externalProvisioning)), "Degraded: ExternalProvisioning: why"},
		{raw, "NotStarted: spec.volumeMode: Block: a raw block volume is not supported yet"},
		{volume(&corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable}), "Healthy: "},
		{volume(&corev1.PersistentVolumeStatus{Phase: corev1.VolumeReleased}), "Healthy: released: its claim is gone, its files are kept"},
		{volume(&corev1.PersistentVolumeStatus{Phase: corev1.VolumeFailed, Message: "why"}), "Degraded: failed: why"},
		{class(state.LocalProvisioner), "Healthy: "},
		{class("a.b/c"), "Healthy: provisioner a.b/c is not part of this cluster: volumes of this class have to be declared"},
	} {
		s, why := Health(stored(t, tt.put), tt.put.Ref)
		if got := s.String() + ": " + why; got != tt.want {
			t.Errorf("%s with %v: got %q, want %q", tt.put.Ref, tt.put.Status, got, tt.want)
		}
	}
}
