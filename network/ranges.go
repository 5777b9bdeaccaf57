package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

const (
	defaultPodRange     = "10.244.0.0/16"
	defaultServiceRange = "10.96.0.0/16"
	// apiIndex and dnsIndex are the addresses of the service range that default/kubernetes and
	// kube-system/kube-dns have.
	apiIndex = 1
	dnsIndex = 10
)

// Ranges are the addresses of the cluster, IPv4, and this node's part of them.
type Ranges struct {
	Pods     netip.Prefix // of the cluster
	Services netip.Prefix
	Node     netip.Prefix // within Pods: the pods of this node
	DNS      netip.Addr   // tenth address of Services
	API      netip.Addr   // first address of Services
}

// rangesOf reads the ranges from the adopted settings and the Node.
func rangesOf(v state.View) (Ranges, error) {
	settings := v.Adopted().Settings.Spec
	var r Ranges
	var err error
	if r.Pods, err = parseRange("pod range", settings.PodCIDR, defaultPodRange); err != nil {
		return Ranges{}, err
	}
	if r.Services, err = parseRange("service range", settings.ServiceCIDR, defaultServiceRange); err != nil {
		return Ranges{}, err
	}
	if r.Node, err = nodeRange(v, r.Pods); err != nil {
		return Ranges{}, err
	}
	r.DNS, r.API = addrAt(r.Services, dnsIndex), addrAt(r.Services, apiIndex)
	switch {
	case !r.Pods.Overlaps(r.Node) || r.Node.Bits() < r.Pods.Bits():
		return Ranges{}, fmt.Errorf("pod range %s of node %s is not within the cluster's %s", r.Node, v.Self(), r.Pods)
	case r.Pods.Overlaps(r.Services):
		return Ranges{}, fmt.Errorf("pod range %s and service range %s overlap", r.Pods, r.Services)
	case !r.Services.Contains(r.DNS):
		return Ranges{}, fmt.Errorf("service range %s has no tenth address for DNS", r.Services)
	}
	return r, nil
}

// answered are the addresses of Services that the node answers itself, for its pods only.
func (r *Ranges) answered() []netip.Addr { return []netip.Addr{r.DNS, r.API} }

func (r *Ranges) answers(a netip.Addr) bool { return slices.Contains(r.answered(), a) }

// nodeRange is this node's part of the pods' range, which its Node says. A node that is not in the
// cluster has no pods but those that are going, with addresses anywhere in the range: it counts as all.
func nodeRange(v state.View, pods netip.Prefix) (netip.Prefix, error) {
	record := v.Node()
	if record == nil {
		return pods, nil
	}
	node, ok := record.Object.(*corev1.Node)
	if !ok || node.Spec.PodCIDR == "" {
		return netip.Prefix{}, fmt.Errorf("node %s has no pod range: none is left in the cluster's %s", v.Self(), pods)
	}
	return parseRange("pod range of node "+string(v.Self()), node.Spec.PodCIDR, "")
}

func parseRange(what, text, otherwise string) (netip.Prefix, error) {
	if text == "" {
		text = otherwise
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("parse %s %q: %w", what, text, err)
	}
	if !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%s %s is not IPv4", what, p)
	}
	return p.Masked(), nil
}

// addrAt is the address at an index of a range, which may lie beyond its end.
func addrAt(p netip.Prefix, index uint32) netip.Addr {
	b := p.Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+index)
	return netip.AddrFrom4(b)
}

// indexOf is where in a range an address stands.
func indexOf(p netip.Prefix, ip netip.Addr) uint32 {
	first, at := p.Addr().As4(), ip.As4()
	return binary.BigEndian.Uint32(at[:]) - binary.BigEndian.Uint32(first[:])
}

// size is the number of addresses in a range, at most poolLimit.
func size(p netip.Prefix) uint32 {
	return min(poolLimit, uint32(1)<<min(31, 32-p.Bits()))
}
