package reconcile

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// statefulRefusals are why a StatefulSet cannot become what is declared. Upstream takes no change of a claim template;
// here one may ask for more, and the claims that were made of it then do.
func (d *draft) statefulRefusals(r *state.Record, next *appsv1.StatefulSet) []string {
	old, ok := r.Object.(*appsv1.StatefulSet)
	if !ok || len(old.Spec.VolumeClaimTemplates) != len(next.Spec.VolumeClaimTemplates) {
		return manifest.ValidateUpdate(r.Object, next)
	}
	as := old.DeepCopy()
	var refused []string
	for i := range as.Spec.VolumeClaimTemplates {
		was, is := &as.Spec.VolumeClaimTemplates[i], &next.Spec.VolumeClaimTemplates[i]
		had, wants := was.Spec.Resources.Requests[corev1.ResourceStorage], is.Spec.Resources.Requests[corev1.ResourceStorage]
		if was.Name != is.Name || wants.Cmp(had) == 0 || was.Spec.Resources.Requests == nil {
			continue
		}
		was.Spec.Resources.Requests[corev1.ResourceStorage] = wants
		if wants.Cmp(had) < 0 {
			refused = append(refused, fmt.Sprintf("spec.volumeClaimTemplates[%d].spec.resources.requests.storage: Forbidden: %s is less than the %s before: claims only grow", i, wants.String(), had.String()))
		} else if wrong := d.growRefusals(r, is); len(wrong) > 0 {
			refused = append(refused, fmt.Sprintf("spec.volumeClaimTemplates[%d].spec.resources.requests.storage: %s", i, wrong[0]))
		}
	}
	return append(manifest.ValidateUpdate(as, next), refused...)
}

// growRefusals are why a claim that was made of a template cannot grow with it.
func (d *draft) growRefusals(r *state.Record, t *corev1.PersistentVolumeClaim) []string {
	for p := range d.w.Owned(r.UID) {
		n, ok := ordinalOf(r.Ref.Name, p.Ref)
		if !ok {
			continue
		}
		c := d.w.Get(manifest.ClaimRef(r.Ref.Namespace, statefulClaim(t.Name, r.Ref.Name, n)))
		if c == nil || c.Claim() == nil || c.Origin != state.Derived || c.Allocation == nil || c.Allocation.Volume == "" {
			continue
		}
		old := c.Full().(*corev1.PersistentVolumeClaim)
		old.Status.Phase = corev1.ClaimBound
		next := old.DeepCopy()
		next.Spec.Resources.Requests = t.Spec.Resources.Requests
		if refused := admit.Resize(d.declared(), old, next); len(refused) > 0 {
			return refused
		}
	}
	return nil
}
