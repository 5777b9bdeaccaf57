package reconcile

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// Upstream's reasons of events about claims.
const (
	provisioning          = "Provisioning"
	provisioningSucceeded = "ProvisioningSucceeded"
	resized               = "VolumeResizeSuccessful"
)

// provision makes a volume for a claim: a folder of a node, which the node makes when it is first mounted.
func (d *draft) provision(r *state.Record, on state.Node) {
	v := d.folder(r, on)
	ref := manifest.VolumeRef(v.Name)
	if old := d.w.Get(ref); old != nil {
		return // of a claim with this very identity, which is going
	}
	d.event(r, corev1.EventTypeNormal, provisioning, state.LocalProvisioner, "External provisioner is provisioning volume for claim %q", r.Ref.Namespace+"/"+r.Ref.Name)
	d.put(
		state.Put{Ref: ref, Object: v, Origin: state.Derived, Node: on, Allocation: &state.Allocation{Claim: claimed(r)}, Why: "for " + r.Ref.String()},
		state.Put{Ref: r.Ref, Allocation: &state.Allocation{Volume: v.Name}, Why: "bound to " + ref.String()},
	)
	d.event(r, corev1.EventTypeNormal, provisioningSucceeded, state.LocalProvisioner, "Successfully provisioned volume %s", v.Name)
}

// folder is the PersistentVolume of a folder on a node.
func (d *draft) folder(r *state.Record, on state.Node) *corev1.PersistentVolume {
	c, class := r.Claim(), d.room().nodes.Class(r.Claim())
	name, mode := "pvc-"+string(r.UID), corev1.PersistentVolumeFilesystem
	host := string(on)
	if n := d.w.Get(manifest.NodeRef(host)); n != nil {
		if label := n.Object.GetLabels()[corev1.LabelHostname]; label != "" {
			host = label
		}
	}
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{state.ProvisionedBy: state.LocalProvisioner}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: c.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:            c.Spec.AccessModes,
			StorageClassName:       class.Name,
			MountOptions:           class.MountOptions,
			VolumeMode:             &mode,
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path.Join("/", d.options.Volumes, name)}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{host}}},
			}}}},
		},
	}
	if class.ReclaimPolicy != nil {
		v.Spec.PersistentVolumeReclaimPolicy = *class.ReclaimPolicy
	}
	return defaulted(v).(*corev1.PersistentVolume)
}

// anywhere is a node for a volume that no Pod waits for: of those that take Pods, the one with the fewest volumes.
func (d *draft) anywhere(c *corev1.PersistentVolumeClaim) state.Node {
	has := map[state.Node]int{}
	for v := range d.w.List("", "PersistentVolume", "") {
		has[v.Node]++
	}
	var found state.Node
	for r := range d.w.Nodes() {
		n, ok := r.Object.(*corev1.Node)
		if name := state.Node(r.Ref.Name); ok && nodeReady(r) && !n.Spec.Unschedulable && d.room().nodes.Allows(c, n) && (found == "" || has[name] < has[found]) {
			found = name
		}
	}
	return found
}

// grow gives a volume the size that its claim asks for by now. No folder has a limit, so nothing else is to be done.
func (d *draft) grow(r, v *state.Record) {
	larger := v.Volume().DeepCopy()
	larger.Spec.Capacity[corev1.ResourceStorage] = r.Claim().Spec.Resources.Requests[corev1.ResourceStorage]
	d.put(state.Put{Ref: v.Ref, Object: larger, Origin: v.Origin, Why: "its claim asks for more"})
	d.event(r, corev1.EventTypeNormal, resized, state.LocalProvisioner, "Resize volume succeeded")
}
