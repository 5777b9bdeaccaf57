package reconcile

import (
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// volume carries a PersistentVolume that is to go to its end: one with a claim waits for it, one with a folder
// for its node, which says when nothing of it is left.
func (d *draft) volume(r *state.Record) {
	if r.Volume() == nil {
		return
	}
	if r.Deletion == nil {
		d.held(r)
		return
	}
	if r.HasFolder() {
		if s, ok := r.Status.(*corev1.PersistentVolumeStatus); ok && s.Reason == state.VolumeRemoved {
			d.remake(r, "nothing of it is left", declaredAgain)
		}
		return
	}
	if d.claimOf(r) == nil {
		d.remake(r, "no claim has it", declaredAgain)
	}
}

// claimOf is the claim that has a volume, nil if there is none (any more).
func (d *draft) claimOf(v *state.Record) *state.Record {
	if v.Allocation == nil || v.Allocation.Claim == nil {
		return nil
	}
	c := d.w.Get(manifest.ClaimRef(v.Allocation.Claim.Namespace, v.Allocation.Claim.Name))
	if c == nil || c.UID != v.Allocation.Claim.UID {
		return nil
	}
	return c
}

// release decides what becomes of a volume whose claim goes now. Only what was made here is removed again.
func (d *draft) release(v *state.Record) {
	s := d.volumePhase(v, corev1.VolumeReleased)
	policy := v.Volume().Spec.PersistentVolumeReclaimPolicy
	switch {
	case policy == corev1.PersistentVolumeReclaimDelete && v.HasFolder():
		const why = "its claim is gone"
		d.put(state.Put{Ref: v.Ref, Status: s, Deletion: &state.Deletion{At: d.now, Reason: why}, Why: why})
		return
	case v.Deletion != nil: // it is to go with its claim
		return
	case policy == corev1.PersistentVolumeReclaimDelete:
		s.Phase = corev1.VolumeFailed
		s.Message = "error getting deleter volume plugin for volume \"" + v.Ref.Name + "\": no deletable volume plugin matched"
		d.event(v, corev1.EventTypeWarning, "VolumeFailedDelete", volumeController, "%s", s.Message)
	case policy == corev1.PersistentVolumeReclaimRecycle:
		s.Phase, s.Message = corev1.VolumeFailed, "No recycler plugin found for the volume!"
		d.event(v, corev1.EventTypeWarning, "VolumeFailedRecycle", volumeController, "%s", s.Message)
	}
	d.put(state.Put{Ref: v.Ref, Status: s, Why: "its claim is gone"})
}

// volumeStatus states how a volume is. Of one that goes its node tells the rest, and one that was released stays so.
func (d *draft) volumeStatus(r *state.Record) {
	if r.Volume() == nil || r.HasFolder() && r.Deletion != nil {
		return
	}
	phase := corev1.VolumeAvailable
	if r.Allocation != nil && r.Allocation.Claim != nil {
		phase = corev1.VolumeBound
		if released(r) && d.claimOf(r) == nil {
			return
		}
	}
	d.setStatus(r, d.volumePhase(r, phase), "")
}

// volumePhase is the status of a volume in a phase, since when it is in it.
func (d *draft) volumePhase(r *state.Record, phase corev1.PersistentVolumePhase) *corev1.PersistentVolumeStatus {
	stamp := d.stamp()
	s := &corev1.PersistentVolumeStatus{Phase: phase, LastPhaseTransitionTime: &stamp}
	if old, ok := r.Status.(*corev1.PersistentVolumeStatus); ok && old.Phase == phase && old.LastPhaseTransitionTime != nil {
		s.LastPhaseTransitionTime = old.LastPhaseTransitionTime
	}
	return s
}
