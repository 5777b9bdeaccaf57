package reconcile

import (
	"encoding/binary"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// Prefix lengths of the range that a node has of the pod range: upstream's node-cidr-mask-size where
// nodes are declared, more for one that is alone, since addresses rest before they are given again.
const (
	nodeBits  = 24
	aloneBits = 20
)

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
		d.put(state.Put{Ref: manifest.NodeRef(d.options.Node), Object: d.withRange(d.selfNode(), d.aloneBits()), Origin: state.Derived, Why: "registers itself"})
	case !declared: // it may have registered before the cluster's settings were known
		if n, ok := self.Object.(*corev1.Node); ok && n.Spec.PodCIDR == "" {
			if n = d.withRange(n, d.aloneBits()); n.Spec.PodCIDR != "" {
				d.put(state.Put{Ref: self.Ref, UID: self.UID, Object: n, Origin: state.Derived, Why: "takes its pod range"})
			}
		}
	}
}

// aloneBits is the length of the range of a node that is alone: aloneBits, but never more than half.
func (d *draft) aloneBits() int {
	if whole, err := netip.ParsePrefix(d.settings().PodCIDR); err == nil {
		return max(aloneBits, whole.Bits()+1)
	}
	return aloneBits
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

// withRange gives a Node its part of the pod range: the one it has, or the lowest that is free, of the
// given prefix length or, where it is no longer than that, the whole. An authored one stands. Without a
// free range the Node has none and takes no Pods with addresses.
func (d *draft) withRange(n *corev1.Node, bits int) *corev1.Node {
	if n.Spec.PodCIDR != "" {
		return n
	}
	ranges := d.podRange(n.Name, bits)
	if ranges == "" {
		return n
	}
	n = n.DeepCopy()
	n.Spec.PodCIDR, n.Spec.PodCIDRs = ranges, []string{ranges}
	return n
}

func (d *draft) podRange(name string, bits int) string {
	if r := d.w.Get(manifest.NodeRef(name)); r != nil {
		if n, ok := r.Object.(*corev1.Node); ok && n.Spec.PodCIDR != "" {
			return n.Spec.PodCIDR
		}
	}
	whole, err := netip.ParsePrefix(d.settings().PodCIDR)
	if err != nil || !whole.Addr().Is4() {
		return ""
	}
	given := freeRange(whole.Masked(), max(bits, whole.Bits()), d.ranges())
	d.taken = append(d.taken, given)
	return given
}

// ranges are those that nodes have, that the commit declares, and that this draft gave, in order.
func (d *draft) ranges() []netip.Prefix {
	var used []netip.Prefix
	add := func(text string) {
		if p, err := netip.ParsePrefix(text); err == nil {
			used = append(used, p)
		}
	}
	for r := range d.w.Nodes() {
		if n, ok := r.Object.(*corev1.Node); ok {
			add(n.Spec.PodCIDR)
		}
	}
	if d.set != nil && d.taken == nil {
		for item := range d.set.All() {
			if n, ok := item.Object.(*corev1.Node); ok && n.Spec.PodCIDR != "" {
				d.taken = append(d.taken, n.Spec.PodCIDR)
			}
		}
	}
	for _, text := range d.taken {
		add(text)
	}
	slices.SortFunc(used, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return used
}

// freeRange is the lowest range of a length that overlaps none of those in use, which are sorted;
// empty if there is none.
func freeRange(whole netip.Prefix, bits int, used []netip.Prefix) string {
	size := uint64(1) << (32 - bits)
	at := first(whole)
	for end := past(whole); at+size <= end; at += size {
		for len(used) > 0 && past(used[0]) <= at {
			used = used[1:]
		}
		if len(used) == 0 || first(used[0]) >= at+size {
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], uint32(at))
			return netip.PrefixFrom(netip.AddrFrom4(a), bits).String()
		}
	}
	return ""
}

func first(p netip.Prefix) uint64 {
	if !p.Addr().Is4() {
		return 0
	}
	return uint64(binary.BigEndian.Uint32(p.Masked().Addr().AsSlice()))
}

// past is the address after the last, 0 of what is no IPv4 range.
func past(p netip.Prefix) uint64 {
	if !p.Addr().Is4() {
		return 0
	}
	return first(p) + 1<<(32-p.Bits())
}

// settings are those of the commit that is or is being adopted.
func (d *draft) settings() manifest.ClusterSpec {
	if d.adopt != nil {
		return d.adopt.Settings.Spec
	}
	return d.w.Adopted().Settings.Spec
}
