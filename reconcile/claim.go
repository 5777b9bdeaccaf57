package reconcile

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/schedule"
	"writ/state"
)

// A claim and its volume are bound once, for good: the claim's Allocation names the volume, the volume's the
// claim. That a volume is free again, or to be removed, is decided with the end of its claim and never
// concluded from a claim that is not there: a store that was lost has none, and the data is.

// claim binds a PersistentVolumeClaim that needs no Pod for it, and carries one that is to go to its end.
func (d *draft) claim(r *state.Record) {
	if r.Claim() == nil {
		return
	}
	if r.Deletion != nil {
		d.claimGoes(r)
		return
	}
	if c := metav1.GetControllerOfNoCopy(r.Object); r.Origin == state.Derived && c != nil && controller(d.w, r) == nil {
		d.endClaim(r, "its pod is gone")
		return
	}
	if d.held(r) {
		return
	}
	if r.Allocation == nil || r.Allocation.Volume == "" {
		d.find(r)
		return
	}
	if v := d.w.Get(manifest.VolumeRef(r.Allocation.Volume)); v != nil && v.Deletion == nil {
		d.keep(r, v)
	}
}

// find binds a claim that has no volume, if it may be bound and there is one.
func (d *draft) find(r *state.Record) {
	if v := d.before(r); v != nil {
		d.bind(r, v)
		return
	}
	c, nodes := r.Claim(), d.room().nodes
	if name := c.Spec.VolumeName; name != "" {
		if v := d.w.Get(manifest.VolumeRef(name)); v != nil && d.mismatch(r, v) == "" {
			d.bind(r, v)
		}
		return
	}
	if name := nodes.Match(r); name != "" {
		d.bind(r, d.w.Get(manifest.VolumeRef(name)))
		return
	}
	if nodes.Class(c) != nil && !nodes.Delayed(c) && nodes.Provisions(c) == nil {
		if on := d.anywhere(c); on != "" {
			d.provision(r, on)
		}
	}
}

// before is the volume that a claim of this name had when the store was lost, and nobody took it from it.
func (d *draft) before(r *state.Record) *state.Record {
	for v := range d.w.List("", "PersistentVolume", "") {
		if a := v.Allocation; a != nil && a.Claim != nil && v.Deletion == nil && !released(v) &&
			a.Claim.Namespace == r.Ref.Namespace && a.Claim.Name == r.Ref.Name {
			return v
		}
	}
	return nil
}

// released says that the claim of a volume went.
func released(v *state.Record) bool {
	s, ok := v.Status.(*corev1.PersistentVolumeStatus)
	return ok && (s.Phase == corev1.VolumeReleased || s.Phase == corev1.VolumeFailed)
}

// keep holds a volume to its claim, and lets it grow with it.
func (d *draft) keep(r, v *state.Record) {
	switch a := v.Allocation; {
	case a == nil || a.Claim == nil:
		if ref := v.Volume().Spec.ClaimRef; ref == nil || ref.Namespace == r.Ref.Namespace && ref.Name == r.Ref.Name && (ref.UID == "" || ref.UID == r.UID) {
			d.bind(r, v) // it was lost, and is there again
		}
		return
	case a.Claim.UID != r.UID:
		if !released(v) && a.Claim.Namespace == r.Ref.Namespace && a.Claim.Name == r.Ref.Name {
			d.bind(r, v)
		}
		return
	}
	if want := r.Claim().Spec.Resources.Requests[corev1.ResourceStorage]; v.HasFolder() && want.Cmp(v.Volume().Spec.Capacity[corev1.ResourceStorage]) > 0 {
		d.grow(r, v)
	}
}

// bind gives a claim a volume, and the volume the claim.
func (d *draft) bind(r, v *state.Record) {
	d.put(
		state.Put{Ref: v.Ref, Allocation: &state.Allocation{Claim: claimed(r)}, Why: "bound to " + r.Ref.String()},
		state.Put{Ref: r.Ref, Allocation: &state.Allocation{Volume: v.Ref.Name}, Why: "bound to " + v.Ref.String()},
	)
}

func claimed(r *state.Record) *state.Claimed {
	return &state.Claimed{Namespace: r.Ref.Namespace, Name: r.Ref.Name, UID: r.UID}
}

// occupy gives the claims of a Pod their volumes on the node where the Pod is placed.
func (d *draft) occupy(pod *state.Record, on state.Node) {
	for _, b := range d.capacity.nodes.Bindings(pod.Pod(), on) {
		r := d.w.Get(b.Claim)
		switch {
		case r == nil:
		case b.Volume == "":
			d.provision(r, on)
		default:
			d.bind(r, d.w.Get(manifest.VolumeRef(b.Volume)))
		}
	}
}

// endClaim decides that a claim goes.
func (d *draft) endClaim(r *state.Record, why string) {
	if r.Deletion == nil {
		d.put(state.Put{Ref: r.Ref, Deletion: &state.Deletion{At: d.now, Reason: why}, Why: why})
	}
}

// declaredAgain is why a claim or a volume is made anew that had to end first.
const declaredAgain = "declared again"

// claimGoes removes a claim that nobody uses any more. What becomes of its volume is decided with it.
func (d *draft) claimGoes(r *state.Record) {
	if d.usedBy(r) != nil {
		return
	}
	if _, v := d.w.Claimed(r.Ref.Namespace, r.Ref.Name); v != nil {
		d.release(v)
	}
	d.remake(r, "nothing uses it any more", declaredAgain)
}

// usedBy is a Pod on a node that has not ended and mounts a claim, nil if there is none.
func (d *draft) usedBy(r *state.Record) *state.Record {
	for p := range d.w.Pods(r.Ref.Namespace) {
		if p.Node != "" && (!terminal(p) || p.Deletion != nil) && mounts(p, r.Ref.Name) {
			return p
		}
	}
	return nil
}

// room is the picture of the nodes and of their volumes.
func (d *draft) room() *capacity {
	if d.capacity == nil {
		d.capacity = newCapacity(d.w)
	}
	return d.capacity
}

// mismatch is why a claim that names its volume cannot have it, in upstream's words; empty if it can.
func (d *draft) mismatch(r, v *state.Record) string {
	if a := v.Allocation; a != nil && a.Claim != nil && a.Claim.UID != r.UID {
		return "volume already bound to a different claim."
	}
	return schedule.Mismatch(r, v)
}
