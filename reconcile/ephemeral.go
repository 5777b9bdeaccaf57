package reconcile

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// ownClaims makes the claims that a Pod has for itself. They belong to it and go with it. A claim of the same name
// that is of somebody else is left alone, and the Pod waits.
func (d *draft) ownClaims(r *state.Record) {
	pod := r.Pod()
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Ephemeral == nil || v.Ephemeral.VolumeClaimTemplate == nil {
			continue
		}
		ref := manifest.ClaimRef(r.Ref.Namespace, r.Ref.Name+"-"+v.Name)
		if d.w.Get(ref) != nil {
			continue
		}
		t, yes := v.Ephemeral.VolumeClaimTemplate, true
		c := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: ref.Namespace, Name: ref.Name, Labels: maps.Clone(t.Labels), Annotations: maps.Clone(t.Annotations),
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: r.Ref.Name, UID: r.UID, Controller: &yes, BlockOwnerDeletion: &yes}},
			},
			Spec: *t.Spec.DeepCopy(),
		}
		d.put(state.Put{Ref: ref, Object: defaulted(admit.OwnClaim(d.w, c)), Origin: state.Derived, Why: "for " + r.Ref.String()})
	}
}
