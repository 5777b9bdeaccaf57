package network

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"writ/state"
)

// Compile makes the ruleset of a View, with the host ports of pods that have an address. It is pure:
// equal Views and addresses give equal rulesets. An error says that the ranges of the cluster cannot be used.
func Compile(v state.View, at Addresses) (Ruleset, error) {
	ranges, err := rangesOf(v)
	if err != nil {
		return Ruleset{}, err
	}
	rs := emptyRuleset(ranges)
	fronts, byOwner := rs.fronts.Txn(), rs.byOwner.Txn()
	for record := range v.Services("") {
		list := frontendsOf(v, ranges, record)
		if len(list) == 0 {
			continue
		}
		byOwner.Insert([]byte(list[0].Owner), list)
		for _, f := range list {
			fronts.Insert(frontKey(f), f)
		}
	}
	for record := range v.Pods() {
		list := hostPortsOf(record, at)
		for _, f := range list {
			fronts.Insert(frontKey(f), f)
		}
		if len(list) > 0 {
			byOwner.Insert([]byte(list[0].Owner), list)
		}
	}
	rs.fronts, rs.byOwner = fronts.CommitOnly(), byOwner.CommitOnly()
	return rs, nil
}

func frontKey(f *Frontend) []byte { return append(f.Key.bytes(), f.Owner...) }

func serviceName(namespace, name string) string { return namespace + "/" + name }

// frontendsOf is what clients see of a Service: each of its ports at its cluster IP and, where it has
// one, at its node port.
func frontendsOf(v state.View, r Ranges, record *state.Record) []*Frontend {
	service, ok := record.Object.(*corev1.Service)
	if !ok || record.Allocation == nil || service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	name := serviceName(record.Ref.Namespace, record.Ref.Name)
	vip := clusterIP(record.Allocation)
	if !vip.IsValid() || r.answers(vip) { // headless, or answered on the node itself
		return nil
	}
	slices := slicesOf(v, record)
	affinity := affinityOf(&service.Spec)
	internal := ptrIs(service.Spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyLocal)
	external := service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	var out []*Frontend
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		proto, ok := protocolOf(port.Protocol)
		if !ok {
			continue
		}
		out = append(out, &Frontend{
			Key: Key{Addr: vip, Proto: proto, Port: uint16(port.Port)}, Owner: name, Affinity: affinity,
			Targets: targetsOf(slices, port, onlyOn(internal, v.Self())),
		})
		if node := record.Allocation.NodePorts[state.PortKey(port)]; node > 0 {
			out = append(out, &Frontend{
				Key: Key{Addr: netip.IPv4Unspecified(), Proto: proto, Port: uint16(node)}, Owner: name, Affinity: affinity,
				Targets: targetsOf(slices, port, onlyOn(external, v.Self())),
			})
		}
	}
	return out
}

func ptrIs[T comparable](p *T, v T) bool { return p != nil && *p == v }

// onlyOn is the node that targets must be on, empty for any.
func onlyOn(local bool, self state.Node) state.Node {
	if local {
		return self
	}
	return ""
}

// clusterIP is the IPv4 address of a Service, invalid if it has none.
func clusterIP(a *state.Allocation) netip.Addr {
	for _, text := range a.ClusterIPs {
		if ip, err := netip.ParseAddr(text); err == nil && ip.Is4() {
			return ip
		}
	}
	return netip.Addr{}
}

func affinityOf(spec *corev1.ServiceSpec) uint32 {
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	if c := spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil && *c.ClientIP.TimeoutSeconds > 0 {
		return uint32(*c.ClientIP.TimeoutSeconds)
	}
	return uint32(corev1.DefaultClientIPServiceAffinitySeconds)
}

func protocolOf(p corev1.Protocol) (uint8, bool) {
	switch p {
	case corev1.ProtocolTCP, "":
		return unix.IPPROTO_TCP, true
	case corev1.ProtocolUDP:
		return unix.IPPROTO_UDP, true
	}
	return 0, false
}

func slicesOf(v state.View, service *state.Record) []*discoveryv1.EndpointSlice {
	var out []*discoveryv1.EndpointSlice
	for record := range v.Slices(service.Ref.Namespace, service.Ref.Name) {
		if s, ok := record.Object.(*discoveryv1.EndpointSlice); ok && s.AddressType == discoveryv1.AddressTypeIPv4 {
			out = append(out, s)
		}
	}
	return out
}

// targetsOf is where connections to a port go: every ready endpoint and, while there is none, every
// endpoint that is terminating and still serves (KEP-1669).
func targetsOf(list []*discoveryv1.EndpointSlice, port *corev1.ServicePort, only state.Node) []netip.AddrPort {
	var ready, terminating []netip.AddrPort
	for _, s := range list {
		number, ok := portOf(s, port)
		if !ok {
			continue
		}
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if only != "" && !ptrIs(e.NodeName, string(only)) {
				continue
			}
			switch {
			case isReady(&e.Conditions):
				ready = appendTargets(ready, e.Addresses, number)
			case isServing(&e.Conditions) && ptrIs(e.Conditions.Terminating, true):
				terminating = appendTargets(terminating, e.Addresses, number)
			}
		}
	}
	if len(ready) == 0 {
		ready = terminating
	}
	slices.SortFunc(ready, netip.AddrPort.Compare)
	return slices.Compact(ready)
}

// portOf finds the number that a slice gives to a port of its Service.
func portOf(s *discoveryv1.EndpointSlice, port *corev1.ServicePort) (uint16, bool) {
	for i := range s.Ports {
		p := &s.Ports[i]
		name, proto := "", corev1.ProtocolTCP
		if p.Name != nil {
			name = *p.Name
		}
		if p.Protocol != nil {
			proto = *p.Protocol
		}
		if name == port.Name && (proto == port.Protocol || port.Protocol == "" && proto == corev1.ProtocolTCP) && p.Port != nil && *p.Port > 0 {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

// isReady follows the API: a condition that is not stated is true.
func isReady(c *discoveryv1.EndpointConditions) bool { return c.Ready == nil || *c.Ready }

func isServing(c *discoveryv1.EndpointConditions) bool {
	if c.Serving == nil {
		return isReady(c)
	}
	return *c.Serving
}

// appendTargets leaves out addresses that would lead to the node's own loopback or nowhere.
func appendTargets(to []netip.AddrPort, addresses []string, port uint16) []netip.AddrPort {
	for _, text := range addresses {
		ip, err := netip.ParseAddr(text)
		if err != nil || !ip.Is4() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
			continue
		}
		to = append(to, netip.AddrPortFrom(ip, port))
	}
	return to
}
