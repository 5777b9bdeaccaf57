package state

import (
	"iter"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

// VolumeRemoved is the reason in the status of a PersistentVolume by which its node says that nothing of its files
// is left. The record may then be removed.
const VolumeRemoved = "writ.dev/Removed"

// LocalProvisioner makes volumes that are folders of a node. Class stands in for a default class where the
// repository declares none.
const (
	LocalProvisioner = "writ.dev/local"
	LocalClass       = "local"
)

// ProvisionedBy is the annotation of a PersistentVolume that tells who made it.
const ProvisionedBy = "pv.kubernetes.io/provisioned-by"

// Volume is the PersistentVolume as it was authored or derived, without facts, nil for other kinds; the caller must
// not modify it.
func (r *Record) Volume() *corev1.PersistentVolume {
	v, _ := r.Object.(*corev1.PersistentVolume)
	return v
}

// Claim is the PersistentVolumeClaim, as Volume.
func (r *Record) Claim() *corev1.PersistentVolumeClaim {
	c, _ := r.Object.(*corev1.PersistentVolumeClaim)
	return c
}

// HasFolder says that the volume is a folder that its node made, and removes.
func (r *Record) HasFolder() bool {
	v := r.Volume()
	return v != nil && r.Origin != Authored && v.Annotations[ProvisionedBy] == LocalProvisioner
}

// Claimed is a claim and the volume that it is bound to. Either is nil if there is none; a volume that has another
// claim is none.
func (w *World) Claimed(namespace, name string) (claim, volume *Record) {
	claim = w.Get(manifest.ClaimRef(namespace, name))
	if claim == nil || claim.Allocation == nil || claim.Allocation.Volume == "" {
		return claim, nil
	}
	v := w.Get(manifest.VolumeRef(claim.Allocation.Volume))
	if v == nil || v.Allocation == nil || v.Allocation.Claim == nil || v.Allocation.Claim.UID != claim.UID {
		return claim, nil
	}
	return claim, v
}

// Claimed is a claim of a Pod of the node with its volume, as of World.
func (v View) Claimed(namespace, name string) (claim, volume *Record) {
	if v.referred(manifest.ClaimRef(namespace, name)) == nil {
		return nil, nil
	}
	return v.w.Claimed(namespace, name)
}

// Volumes yields the PersistentVolumes whose files are on the node.
func (v View) Volumes() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		for r := range v.w.List("", "PersistentVolume", "") {
			if r.Node == v.self && !yield(r) {
				return
			}
		}
	}
}

// claims yields the claims of a Pod and their volumes.
func (v View) claims(pod *Record, yield func(manifest.Ref) bool) bool {
	for name := range manifest.PodClaims(pod.Pod()) {
		if !yield(manifest.ClaimRef(pod.Ref.Namespace, name)) {
			return false
		}
		if _, volume := v.w.Claimed(pod.Ref.Namespace, name); volume != nil && !yield(volume.Ref) {
			return false
		}
	}
	return true
}

func (c *Claimed) reference() *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: c.Namespace, Name: c.Name, UID: c.UID}
}
