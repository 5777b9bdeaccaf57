package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// The claims of a StatefulSet are derived and belong to nobody, so that they outlive Pods, sizes and the set itself,
// unless its retention policy gives them an owner: the set, with which they go, or a Pod that is scaled away.

func (x *stateful) claimName(template string, n int) string {
	return statefulClaim(template, x.r.Ref.Name, n)
}

// statefulClaim is upstream's name of the claim of a template for the Pod of an ordinal.
func statefulClaim(template, set string, n int) string {
	return template + "-" + set + "-" + strconv.Itoa(n)
}

func (x *stateful) claimRef(template *corev1.PersistentVolumeClaim, n int) manifest.Ref {
	return manifest.ClaimRef(x.r.Ref.Namespace, x.claimName(template.Name, n))
}

// claimObstacle is why the claims of an ordinal cannot be had by a new Pod, nil if they can.
func (x *stateful) claimObstacle(n int) error {
	for i := range x.set.Spec.VolumeClaimTemplates {
		c := x.d.w.Get(x.claimRef(&x.set.Spec.VolumeClaimTemplates[i], n))
		if c != nil && (c.Deletion != nil || c.Origin == state.Derived && metav1.GetControllerOfNoCopy(c.Object) != nil && controller(x.d.w, c) == nil) {
			return fmt.Errorf("pvc %s is being deleted", c.Ref.Name)
		}
	}
	return nil
}

// keepClaims gives the claims of the Pods that are there the owner and the size that the set says, and makes those
// that a waiting Pod lacks. It looks at Pods that are going too: a set that has grown again keeps their claims.
func (x *stateful) keepClaims() {
	for _, n := range slices.Sorted(maps.Keys(x.at)) {
		p := x.at[n]
		if p.Deletion == nil && p.PodStatus().Phase == corev1.PodPending {
			x.createClaims(n)
		}
		x.keepClaimsOf(n, nil)
	}
	for _, p := range x.condemned {
		x.keepClaimsOf(x.ordinal(p), p)
	}
}

// createClaims makes the claims of an ordinal that are not there.
func (x *stateful) createClaims(n int) {
	for i := range x.set.Spec.VolumeClaimTemplates {
		t := &x.set.Spec.VolumeClaimTemplates[i]
		ref := x.claimRef(t, n)
		if x.d.w.Get(ref) != nil {
			continue
		}
		labels := maps.Clone(t.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, x.set.Spec.Selector.MatchLabels)
		c := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: ref.Namespace, Name: ref.Name, Labels: labels, Annotations: maps.Clone(t.Annotations), OwnerReferences: x.claimOwner(nil),
			},
			Spec: *t.Spec.DeepCopy(),
		}
		c = defaulted(admit.Claim(x.d.w, c)).(*corev1.PersistentVolumeClaim)
		c.Status = corev1.PersistentVolumeClaimStatus{}
		pod := x.podName(n)
		x.d.put(state.Put{Ref: ref, Object: c, Origin: state.Derived, Why: "for Pod/" + ref.Namespace + "/" + pod})
		x.d.event(x.r, corev1.EventTypeNormal, "SuccessfulCreate", statefulSetController, "Create Claim %s Pod %s in StatefulSet %s success", ref.Name, pod, x.r.Ref.Name)
	}
	x.keepClaimsOf(n, nil)
}

// keepClaimsOf gives the claims of an ordinal their owner and size; leaving is the Pod if it is scaled away.
func (x *stateful) keepClaimsOf(n int, leaving *state.Record) {
	for i := range x.set.Spec.VolumeClaimTemplates {
		t := &x.set.Spec.VolumeClaimTemplates[i]
		r := x.d.w.Get(x.claimRef(t, n))
		if r == nil || r.Claim() == nil || r.Origin != state.Derived || r.Deletion != nil || x.foreign(r) {
			continue
		}
		next, why := *r.Claim(), ""
		if owners := x.claimOwner(leaving); !sameOwners(owners, next.OwnerReferences) {
			next.OwnerReferences, why = owners, "retention policy of "+x.r.Ref.String()
		}
		if size := t.Spec.Resources.Requests[corev1.ResourceStorage]; leaving == nil && size.Cmp(next.Spec.Resources.Requests[corev1.ResourceStorage]) > 0 {
			next.Spec = *next.Spec.DeepCopy()
			next.Spec.Resources.Requests[corev1.ResourceStorage] = size
			why = "its template asks for more"
		}
		if why != "" {
			x.d.put(state.Put{Ref: r.Ref, Object: &next, Origin: r.Origin, Why: why})
		}
	}
}

// foreign says that a claim has an owner that is not this set or one of its Pods as they are: it is left alone.
func (x *stateful) foreign(r *state.Record) bool {
	for _, o := range r.Claim().OwnerReferences {
		p := x.d.w.Get(manifest.PodRef(r.Ref.Namespace, o.Name))
		if o.UID != x.r.UID && (p == nil || p.UID != o.UID) {
			return true
		}
	}
	return false
}

// claimOwner is who a claim goes with, nobody by default.
func (x *stateful) claimOwner(leaving *state.Record) []metav1.OwnerReference {
	policy := appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	if p := x.set.Spec.PersistentVolumeClaimRetentionPolicy; p != nil {
		policy = *p
	}
	switch {
	case leaving != nil && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
		return []metav1.OwnerReference{controllerRef(leaving)}
	case policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
		return []metav1.OwnerReference{controllerRef(x.r)}
	}
	return nil
}

func sameOwners(a, b []metav1.OwnerReference) bool {
	return slices.EqualFunc(a, b, func(x, y metav1.OwnerReference) bool { return x.UID == y.UID })
}
