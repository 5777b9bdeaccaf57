package reconcile

import (
	"encoding/binary"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// nodeBits is the prefix length of the range that each node has of the pod range, as upstream's
// node-cidr-mask-size.
const nodeBits = 24

// registration makes the Node object of the one node that registers itself while no commit declares
// any, and takes it away once one does.
func (d *draft) registration() {
	if d.options.Node == "" {
		return
	}
	declared := false
	var self *state.Record
	var others []*state.Record
	for r := range d.w.Nodes() {
		switch {
		case r.Origin == state.Authored:
			declared = true
		case r.Ref.Name == d.options.Node:
			self = r
		default:
			others = append(others, r)
		}
	}
	for _, r := range others {
		d.delete(r, "no such node any more")
	}
	if self != nil && self.Origin == state.Restored { // it is of this version's making again
		self = nil
	}
	switch {
	case declared && self != nil:
		d.delete(self, "nodes are declared, and this one is not")
	case !declared && self == nil:
		d.put(state.Put{Ref: manifest.NodeRef(d.options.Node), Object: d.withRange(d.selfNode()), Origin: state.Derived, Why: "registers itself"})
	}
}

func (d *draft) selfNode() *corev1.Node {
	name := d.options.Node
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name,
		Labels: map[string]string{
			corev1.LabelHostname:      name,
			corev1.LabelOSStable:      d.options.OS,
			corev1.LabelArchStable:    d.options.Arch,
			"beta.kubernetes.io/os":   d.options.OS,
			"beta.kubernetes.io/arch": d.options.Arch,
		},
	}}
}

// withRange gives a Node its part of the pod range: the one it has, or the lowest that is free. An
// authored one stands. Without a free range the Node has none and takes no Pods with addresses.
func (d *draft) withRange(n *corev1.Node) *corev1.Node {
	if n.Spec.PodCIDR != "" {
		return n
	}
	ranges := d.podRange(n.Name)
	if ranges == "" {
		return n
	}
	n = n.DeepCopy()
	n.Spec.PodCIDR, n.Spec.PodCIDRs = ranges, []string{ranges}
	return n
}

func (d *draft) podRange(name string) string {
	if r := d.w.Get(manifest.NodeRef(name)); r != nil {
		if n, ok := r.Object.(*corev1.Node); ok && n.Spec.PodCIDR != "" {
			return n.Spec.PodCIDR
		}
	}
	whole, err := netip.ParsePrefix(d.settings().PodCIDR)
	if err != nil || !whole.Addr().Is4() {
		return ""
	}
	used := map[string]bool{}
	for r := range d.w.Nodes() {
		if n, ok := r.Object.(*corev1.Node); ok {
			used[n.Spec.PodCIDR] = true
		}
	}
	bits := max(nodeBits, whole.Bits())
	first := binary.BigEndian.Uint32(whole.Masked().Addr().AsSlice())
	for i := range uint32(1) << (bits - whole.Bits()) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], first+i<<(32-bits))
		if p := netip.PrefixFrom(netip.AddrFrom4(a), bits).String(); !used[p] {
			return p
		}
	}
	return ""
}

// settings are those of the commit that is or is being adopted.
func (d *draft) settings() manifest.ClusterSpec {
	if d.adopt != nil {
		return d.adopt.Settings.Spec
	}
	return d.w.Adopted().Settings.Spec
}
