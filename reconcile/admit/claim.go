package admit

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/component-helpers/storage/volume"

	"writ/manifest"
	"writ/state"
)

// Annotations that make a StorageClass the one of claims that name none.
const (
	DefaultClass     = "storageclass.kubernetes.io/is-default-class"
	betaDefaultClass = "storageclass.beta.kubernetes.io/is-default-class"
)

// IsDefaultClass says that an object is marked so.
func IsDefaultClass(o manifest.Object) bool {
	return o.GetAnnotations()[DefaultClass] == "true" || o.GetAnnotations()[betaDefaultClass] == "true"
}

// HasClass says that a claim has a class, be it the empty one.
func HasClass(c *corev1.PersistentVolumeClaim) bool { return volume.PersistentVolumeClaimHasClass(c) }

// Claim is a claim with the default class where it says nothing about one. Without a declared default, a claim for
// which a volume without a class is written down gets that, as in a cluster that has no default class.
func Claim(w *state.World, c *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	if name, declared := defaultClass(w); !HasClass(c) && name != "" && !declared {
		classless := c.DeepCopy()
		classless.Spec.StorageClassName = new("")
		if awaited(w, classless) {
			return classless
		}
	}
	return OwnClaim(w, c)
}

// OwnClaim is a claim that is made for one Pod alone, with the default class where it says nothing about one. No
// volume is written down for it.
func OwnClaim(w *state.World, c *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	name, _ := defaultClass(w)
	if HasClass(c) || name == "" {
		return c
	}
	c = c.DeepCopy()
	c.Spec.StorageClassName = &name
	return c
}

// awaited says that a volume is written down that the claim could have.
func awaited(w *state.World, c *corev1.PersistentVolumeClaim) bool {
	var fit []*corev1.PersistentVolume
	for r := range w.List("", "PersistentVolume", "") {
		v, ok := r.Full().(*corev1.PersistentVolume)
		if !ok || r.Origin != state.Authored || r.Deletion != nil || r.Allocation != nil || volume.GetPersistentVolumeClass(v) != "" {
			continue
		}
		if c.Spec.VolumeName == v.Name {
			return true
		}
		if volume.CheckAccessModes(c, v) {
			v.Status.Phase = corev1.VolumeAvailable // nobody has looked at it yet, if it comes with the claim
			fit = append(fit, v)
		}
	}
	found, err := volume.FindMatchingVolume(c, fit, nil, nil, false, true)
	return err == nil && found != nil && c.Spec.VolumeName == ""
}

// KeepClaim is a declared claim as it is compared with, or put over, the one that is there: the class that it got
// stays. One that waits for a default class gets it.
func KeepClaim(w *state.World, r *state.Record, declared *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	old := r.Claim()
	if HasClass(declared) {
		return declared
	}
	if old.Spec.StorageClassName == nil {
		if r.Allocation != nil && r.Allocation.Volume != "" {
			return declared
		}
		return Claim(w, declared)
	}
	c := declared.DeepCopy()
	c.Spec.StorageClassName = old.Spec.StorageClassName
	return c
}

// defaultClass is the newest of the default classes and of these the first by name, as upstream. Without any it
// is the one that is always there, unless the repository has its own under that name.
func defaultClass(w *state.World) (name string, declared bool) {
	var newest *state.Record
	for r := range w.List("storage.k8s.io", "StorageClass", "") {
		if r.Origin != state.Builtin && IsDefaultClass(r.Object) && (newest == nil || r.Created.After(newest.Created)) {
			newest = r
		}
	}
	if newest != nil {
		return newest.Ref.Name, true
	}
	if r := w.Get(manifest.StorageClassRef(state.LocalClass)); r != nil && r.Origin != state.Builtin {
		return "", false
	}
	return state.LocalClass, false
}

// Resize is why a claim cannot have the size that it asks for now, in upstream's words.
func Resize(w *state.World, old, next *corev1.PersistentVolumeClaim) []string {
	had, wants := old.Spec.Resources.Requests[corev1.ResourceStorage], next.Spec.Resources.Requests[corev1.ResourceStorage]
	if wants.Cmp(had) <= 0 {
		return nil
	}
	refuse := func(why string) []string {
		return []string{fmt.Sprintf("persistentvolumeclaims %q is forbidden: %s", next.Name, why)}
	}
	if old.Status.Phase != corev1.ClaimBound {
		return refuse("Only bound persistent volume claims can be expanded")
	}
	name := volume.GetPersistentVolumeClaimClass(next)
	if r := w.Get(manifest.StorageClassRef(name)); name != "" && name == volume.GetPersistentVolumeClaimClass(old) && r != nil {
		if c, ok := r.Object.(*storagev1.StorageClass); ok && c.AllowVolumeExpansion != nil && *c.AllowVolumeExpansion {
			return nil
		}
	}
	return refuse("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize")
}
