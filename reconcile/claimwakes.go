package reconcile

import (
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// claimWakes: what a claim is bound to, and the Pods that wait for it.
func claimWakes(w *state.World, c *state.Change, yield func(Key)) {
	for _, r := range []*state.Record{c.Old, c.New} {
		if r == nil {
			continue
		}
		if r.Allocation != nil && r.Allocation.Volume != "" {
			keysFor(manifest.VolumeRef(r.Allocation.Volume), yield)
		}
	}
	if decided(c) {
		yield(Key{Concern: placement})
	}
	if gone(c) { // a Pod may have to make its own
		for p := range w.Pods(c.Ref.Namespace) {
			if p.Node == "" && mounts(p, c.Ref.Name) {
				yield(Key{pods, p.Ref})
			}
		}
	}
}

// mounts says that a Pod has a claim among its volumes.
func mounts(p *state.Record, claim string) bool {
	for name := range manifest.PodClaims(p.Pod()) {
		if name == claim {
			return true
		}
	}
	return false
}

// volumeWakes: its claim, and all that might get it.
func volumeWakes(w *state.World, c *state.Change, yield func(Key)) {
	for _, r := range []*state.Record{c.Old, c.New} {
		if r != nil && r.Allocation != nil && r.Allocation.Claim != nil {
			keysFor(manifest.ClaimRef(r.Allocation.Claim.Namespace, r.Allocation.Claim.Name), yield)
		}
	}
	if !decided(c) {
		return
	}
	yield(Key{Concern: placement})
	if free(c.New) {
		unboundClaims(w, yield)
		return
	}
	for r := range w.List("", "PersistentVolumeClaim", "") { // those that ask for it by name say why they wait
		if p := r.Claim(); p != nil && p.Spec.VolumeName == c.Ref.Name {
			keysFor(r.Ref, yield)
		}
	}
}

// free says that a claim may get a volume.
func free(v *state.Record) bool {
	return v != nil && v.Deletion == nil && (v.Allocation == nil || v.Allocation.Claim == nil)
}

// decided says that a claim or a volume changed in more than its status.
func decided(c *state.Change) bool {
	return c.Old == nil || c.New == nil || newer(c) || c.Old.Object != c.New.Object || c.Old.Allocation != c.New.Allocation ||
		(c.Old.Deletion == nil) != (c.New.Deletion == nil)
}

// unboundClaims yields the keys of all claims that have no volume, or have lost it.
func unboundClaims(w *state.World, yield func(Key)) {
	for r := range w.List("", "PersistentVolumeClaim", "") {
		s, ok := r.Status.(*corev1.PersistentVolumeClaimStatus)
		if r.Allocation == nil || r.Allocation.Volume == "" || !ok || s.Phase != corev1.ClaimBound {
			keysFor(r.Ref, yield)
		}
	}
}

// podClaimWakes: the claims of a Pod that came, went, was placed or has ended, and those that go with it.
func podClaimWakes(w *state.World, c *state.Change, yield func(Key)) {
	if c.Old != nil && (c.New == nil || newer(c)) {
		owned(w, c.Old, yield)
	}
	if c.Old != nil && c.New != nil && !newer(c) && c.Old.Node == c.New.Node && terminal(c.Old) == terminal(c.New) &&
		c.Old.Object == c.New.Object && (c.Old.Deletion == nil) == (c.New.Deletion == nil) {
		return
	}
	for _, r := range []*state.Record{c.Old, c.New} {
		if r == nil {
			continue
		}
		for name := range manifest.PodClaims(r.Pod()) {
			keysFor(manifest.ClaimRef(r.Ref.Namespace, name), yield)
		}
	}
}
