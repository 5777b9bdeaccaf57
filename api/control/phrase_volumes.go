package control

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"writ/reconcile"
	"writ/state"
)

// claimPhrase is the columns STATUS, VOLUME and CAPACITY of `kubectl get pvc`, and of one that has no volume why not.
func claimPhrase(w *state.World, r *state.Record) string {
	s, _ := r.Status.(*corev1.PersistentVolumeClaimStatus)
	if s == nil {
		s = &corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	}
	word := string(s.Phase)
	if r.Deletion != nil {
		return "Terminating: " + r.Deletion.Reason
	}
	if _, volume := w.Claimed(r.Ref.Namespace, r.Ref.Name); volume != nil {
		size := s.Capacity[corev1.ResourceStorage]
		return fmt.Sprintf("%s: %s, %s", word, volume.Ref.Name, size.String())
	}
	if _, why := reconcile.Health(w, r.Ref); why != "" {
		return word + ": " + why
	}
	return word
}

// volumePhrase is the columns STATUS and CLAIM of `kubectl get pv`.
func volumePhrase(r *state.Record) string {
	s, _ := r.Status.(*corev1.PersistentVolumeStatus)
	if s == nil {
		s = &corev1.PersistentVolumeStatus{Phase: corev1.VolumePending}
	}
	word := string(s.Phase)
	if r.Deletion != nil {
		word = "Terminating"
	}
	if a := r.Allocation; a != nil && a.Claim != nil {
		word += ": " + a.Claim.Namespace + "/" + a.Claim.Name
	}
	if s.Message != "" {
		word += ": " + s.Message
	}
	return word
}
