package reconcile

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// addresses is what the service range and the node port range hold and who has what.
type addresses struct {
	first  uint32 // network address
	size   uint32 // number of addresses
	prefix netip.Prefix
	low    int32 // node ports, inclusive
	high   int32
	ips    map[string]manifest.Ref
	ports  map[int32]manifest.Ref
}

// addresses reads the allocations once a draft and keeps up with it.
func (d *draft) addresses() *addresses {
	if d.ips == nil {
		d.ips = newAddresses(d.settings())
		for r := range d.w.Services("") {
			d.ips.take(r)
		}
	}
	return d.ips
}

func newAddresses(s manifest.ClusterSpec) *addresses {
	a := &addresses{ips: map[string]manifest.Ref{}, ports: map[int32]manifest.Ref{}}
	if p, err := netip.ParsePrefix(s.ServiceCIDR); err == nil && p.Addr().Is4() {
		a.prefix = p.Masked()
		a.first = binary.BigEndian.Uint32(a.prefix.Addr().AsSlice())
		a.size = uint32(1) << (32 - a.prefix.Bits())
	}
	_, _ = fmt.Sscanf(s.NodePorts, "%d-%d", &a.low, &a.high)
	return a
}

func (a *addresses) update(c state.Change) {
	if c.Old != nil {
		for _, ip := range wanted(c.Old) {
			if a.ips[ip] == c.Ref {
				delete(a.ips, ip)
			}
		}
		for _, port := range portsOf(c.Old) {
			if a.ports[port] == c.Ref {
				delete(a.ports, port)
			}
		}
	}
	if c.New != nil {
		a.take(c.New)
	}
}

func (a *addresses) take(r *state.Record) {
	for _, ip := range wanted(r) {
		if _, taken := a.ips[ip]; !taken {
			a.ips[ip] = r.Ref
		}
	}
	for _, port := range portsOf(r) {
		if _, taken := a.ports[port]; !taken {
			a.ports[port] = r.Ref
		}
	}
}

// wanted are the addresses that a Service has or, before it has any, asks for.
func wanted(r *state.Record) []string {
	if r.Allocation != nil && len(r.Allocation.ClusterIPs) > 0 {
		if r.Allocation.ClusterIPs[0] == corev1.ClusterIPNone {
			return nil
		}
		return r.Allocation.ClusterIPs
	}
	if s, ok := r.Object.(*corev1.Service); ok && s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone {
		return []string{s.Spec.ClusterIP}
	}
	return nil
}

func portsOf(r *state.Record) []int32 {
	var ports []int32
	if r.Allocation != nil {
		for _, p := range r.Allocation.NodePorts {
			ports = append(ports, p)
		}
	}
	if s, ok := r.Object.(*corev1.Service); ok {
		for i := range s.Spec.Ports {
			if p := s.Spec.Ports[i].NodePort; p != 0 {
				ports = append(ports, p)
			}
		}
	}
	return ports
}

func (a *addresses) holder(ip string) (manifest.Ref, bool) {
	ref, ok := a.ips[ip]
	return ref, ok
}

func (a *addresses) portHolder(port int32) (manifest.Ref, bool) {
	ref, ok := a.ports[port]
	return ref, ok
}

func (a *addresses) at(offset uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], a.first+offset)
	return netip.AddrFrom4(b).String()
}

func (a *addresses) contains(ip string) bool {
	p, err := netip.ParseAddr(ip)
	return err == nil && a.prefix.Contains(p)
}

// band is the lower part of a range that is left to authors, by upstream's rule (KEP-3070).
func band(size uint32) uint32 { return min(max(16, size/16), 256) }

// free finds an address: above the band first, then in it. The network and broadcast addresses and
// the two fixed ones are never given.
func (a *addresses) free(ref manifest.Ref) (string, bool) {
	if a.size < 4 {
		return "", false
	}
	last := a.size - 2
	lower := min(band(a.size), last)
	if ip, ok := a.probe(ref, lower+1, last); ok {
		return ip, true
	}
	return a.probe(ref, 1, lower)
}

func (a *addresses) probe(ref manifest.Ref, from, to uint32) (string, bool) {
	if to < from {
		return "", false
	}
	n := to - from + 1
	start := hashOf(ref.String()) % n
	for i := range n {
		offset := from + (start+i)%n
		if offset == 1 || offset == 10 {
			continue
		}
		if ip := a.at(offset); a.ips[ip] == (manifest.Ref{}) {
			return ip, true
		}
	}
	return "", false
}

// freePort finds a node port, above the band that is left to authors first (KEP-3668).
func (a *addresses) freePort(ref manifest.Ref, key string, mine map[int32]bool) (int32, bool) {
	size := a.high - a.low + 1
	if a.low <= 0 || size <= 0 {
		return 0, false
	}
	reserved := int32(min(max(16, uint32(size)/32), 128))
	if reserved >= size {
		reserved = 0
	}
	start := int32(hashOf(ref.String()+" "+key) % uint32(size-reserved))
	for i := range size - reserved {
		port := a.low + reserved + (start+i)%(size-reserved)
		if _, taken := a.ports[port]; !taken && !mine[port] {
			return port, true
		}
	}
	for port := a.low; port < a.low+reserved; port++ {
		if _, taken := a.ports[port]; !taken && !mine[port] {
			return port, true
		}
	}
	return 0, false
}

func hashOf(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}
