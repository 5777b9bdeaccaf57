package reconcile

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// localClass is the StorageClass that is always there: folders of the nodes.
func localClass(standard bool) *storagev1.StorageClass {
	reclaim, expands := corev1.PersistentVolumeReclaimDelete, true
	waits := storagev1.VolumeBindingWaitForFirstConsumer
	c := &storagev1.StorageClass{
		ObjectMeta:           metav1.ObjectMeta{Name: state.LocalClass},
		Provisioner:          state.LocalProvisioner,
		ReclaimPolicy:        &reclaim,
		AllowVolumeExpansion: &expands,
		VolumeBindingMode:    &waits,
	}
	if standard {
		c.Annotations = map[string]string{admit.DefaultClass: "true"}
	}
	return defaulted(c).(*storagev1.StorageClass)
}

// ensureClass keeps the class that is always there, the default as long as the repository declares none.
func (d *draft) ensureClass() {
	ref, standard := manifest.StorageClassRef(state.LocalClass), true
	for r := range d.w.List(ref.Group, ref.Kind, "") {
		if r.Origin != state.Builtin && admit.IsDefaultClass(r.Object) {
			standard = false
		}
	}
	r := d.w.Get(ref)
	if r == nil || r.Origin == state.Builtin && admit.IsDefaultClass(r.Object) != standard {
		d.put(state.Put{Ref: ref, Object: localClass(standard), Origin: state.Builtin, Why: "always there"})
	}
}

// lingers says that an object of a kind goes only when nothing uses it any more.
func lingers(ref manifest.Ref) bool {
	return ref.Group == "" && (ref.Kind == "Pod" || ref.Kind == "PersistentVolumeClaim" || ref.Kind == "PersistentVolume")
}

// classless says that a claim waits for a default class.
func classless(r *state.Record) bool {
	c := r.Claim()
	return c != nil && !admit.HasClass(c) && (r.Allocation == nil || r.Allocation.Volume == "")
}

// refusals are why a record cannot become what is declared.
func (d *draft) refusals(r *state.Record, object manifest.Object) []string {
	if set, ok := object.(*appsv1.StatefulSet); ok {
		return d.statefulRefusals(r, set)
	}
	c, ok := object.(*corev1.PersistentVolumeClaim)
	if !ok {
		return manifest.ValidateUpdate(r.Object, object)
	}
	old, next := r.Claim().DeepCopy(), c.DeepCopy()
	if s, ok := r.Status.(*corev1.PersistentVolumeClaimStatus); ok {
		old.Status = *s
	}
	if a := r.Allocation; a != nil && next.Spec.VolumeName == "" {
		old.Spec.VolumeName, next.Spec.VolumeName = a.Volume, a.Volume
	}
	if mistakes := manifest.ValidateUpdate(old, next); len(mistakes) > 0 {
		return mistakes
	}
	return admit.Resize(d.declared(), old, next)
}
