package reconcile

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/component-helpers/storage/volume"

	"writ/manifest"
	"writ/state"
)

// volumeController is upstream's name for who binds claims.
const volumeController = "persistentvolume-controller"

// pendingCondition is the type of the condition by which a claim says why it has no volume.
const pendingCondition corev1.PersistentVolumeClaimConditionType = "writ.dev/Pending"

// Upstream's reasons why a claim has no volume.
const (
	firstConsumer        = "WaitForFirstConsumer"
	podScheduled         = "WaitForPodScheduled"
	failedBinding        = "FailedBinding"
	volumeMismatch       = "VolumeMismatch"
	provisioningFailed   = "ProvisioningFailed"
	externalProvisioning = "ExternalProvisioning"
)

// noProvisioner is what upstream calls the provisioner of classes without any.
const noProvisioner = volume.NotSupportedProvisioner

// claimStatus states how a claim is.
func (d *draft) claimStatus(r *state.Record) {
	if r.Claim() == nil {
		return
	}
	before, _ := r.Status.(*corev1.PersistentVolumeClaimStatus)
	if before == nil {
		before = &corev1.PersistentVolumeClaimStatus{}
	}
	next := &corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	_, v := d.w.Claimed(r.Ref.Namespace, r.Ref.Name)
	switch {
	case v != nil:
		next.Phase, next.AccessModes, next.Capacity = corev1.ClaimBound, v.Volume().Spec.AccessModes, v.Volume().Spec.Capacity
	case r.Allocation != nil && r.Allocation.Volume != "":
		next.Phase = corev1.ClaimLost
		if before.Phase != corev1.ClaimLost {
			d.loses(r)
		}
	case r.Deletion == nil && !d.uses(r):
		d.pendingBecause(r, before, next)
	}
	d.setStatus(r, next, "")
}

// loses tells that a claim has no volume any more.
func (d *draft) loses(r *state.Record) {
	if d.w.Get(manifest.VolumeRef(r.Allocation.Volume)) != nil {
		d.event(r, corev1.EventTypeWarning, "ClaimMisbound", volumeController, "Two claims are bound to the same volume, this one is bound incorrectly")
		return
	}
	d.event(r, corev1.EventTypeWarning, "ClaimLost", volumeController, "Bound claim has lost its PersistentVolume. Any data on the volume might be lost!")
}

// pendingBecause says in the status why a claim has no volume, and tells it once.
func (d *draft) pendingBecause(r *state.Record, before, next *corev1.PersistentVolumeClaimStatus) {
	kind, reason, message := d.unbound(r)
	c := corev1.PersistentVolumeClaimCondition{Type: pendingCondition, Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: d.stamp()}
	if old := pendingIn(before); old != nil {
		c.LastTransitionTime = old.LastTransitionTime
		if old.Reason == reason && old.Message == message {
			kind = ""
		}
	}
	next.Conditions = []corev1.PersistentVolumeClaimCondition{c}
	if kind != "" {
		d.event(r, kind, reason, volumeController, "%s", message)
	}
}

// pendingIn is the condition that says why a claim has no volume, or nil.
func pendingIn(s *corev1.PersistentVolumeClaimStatus) *corev1.PersistentVolumeClaimCondition {
	i := slices.IndexFunc(s.Conditions, func(c corev1.PersistentVolumeClaimCondition) bool { return c.Type == pendingCondition })
	if i < 0 {
		return nil
	}
	return &s.Conditions[i]
}

// unbound is why a claim has no volume, as upstream tells it.
func (d *draft) unbound(r *state.Record) (kind, reason, message string) {
	const normal, warning = corev1.EventTypeNormal, corev1.EventTypeWarning
	c, nodes := r.Claim(), d.room().nodes
	if name := c.Spec.VolumeName; name != "" {
		v := d.w.Get(manifest.VolumeRef(name))
		switch {
		case v == nil:
			return warning, failedBinding, fmt.Sprintf("volume %q not found.", name) // upstream tells nobody
		case v.Allocation != nil && v.Allocation.Claim != nil:
			return warning, failedBinding, fmt.Sprintf("volume %q already bound to a different claim.", name)
		}
		return warning, volumeMismatch, fmt.Sprintf("Cannot bind to requested volume %q: %s", name, d.mismatch(r, v))
	}
	class, name := nodes.Class(c), volume.GetPersistentVolumeClaimClass(c)
	pods := d.unplacedUsers(r)
	switch {
	case name == "":
		return normal, failedBinding, "no persistent volumes available for this claim and no storage class is set"
	case class == nil:
		return warning, provisioningFailed, nodes.Provisions(c).Error()
	case nodes.Delayed(c) && len(pods) == 0:
		return normal, firstConsumer, "waiting for first consumer to be created before binding"
	case class.Provisioner == state.LocalProvisioner || class.Provisioner == noProvisioner && nodes.Delayed(c):
		return d.localUnbound(r, class, pods)
	case class.Provisioner == noProvisioner:
		return warning, provisioningFailed, fmt.Sprintf("no volume plugin matched name: %s", class.Provisioner)
	}
	return normal, externalProvisioning, fmt.Sprintf("Waiting for a volume to be created either by the external provisioner '%s' or manually by the system administrator. "+
		"If volume creation is delayed, please verify that the provisioner is running and correctly registered.", class.Provisioner)
}

// localUnbound is unbound for claims that wait for nobody but a Pod and this cluster's nodes.
func (d *draft) localUnbound(r *state.Record, class *storagev1.StorageClass, pods []string) (kind, reason, message string) {
	err := d.room().nodes.Provisions(r.Claim())
	switch {
	case class.Provisioner == state.LocalProvisioner && err != nil:
		return corev1.EventTypeWarning, provisioningFailed, err.Error()
	case !d.room().nodes.Delayed(r.Claim()):
	case len(pods) == 1:
		return corev1.EventTypeNormal, podScheduled, fmt.Sprintf("waiting for pod %s to be scheduled", pods[0])
	case len(pods) > 1:
		return corev1.EventTypeNormal, podScheduled, fmt.Sprintf("waiting for pods %s to be scheduled", strings.Join(pods, ","))
	}
	return corev1.EventTypeNormal, provisioning, "waiting for a node that is ready"
}

// unplacedUsers are the names of the Pods that use a claim and are on no node.
func (d *draft) unplacedUsers(r *state.Record) (names []string) {
	for p := range d.w.Pods(r.Ref.Namespace) {
		if p.Node == "" && active(p) && mounts(p, r.Ref.Name) {
			names = append(names, p.Ref.Name)
		}
	}
	return names
}
