package reconcile

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// allocate gives a Service its cluster IP and node ports. What it has it keeps; what its author wrote
// is honoured; the rest is found from a hash of its name, so that a rebuilt cluster is mostly the same.
func (d *draft) allocate(r *state.Record) {
	s, ok := r.Object.(*corev1.Service)
	if !ok || r.Deletion != nil || d.held(r) {
		return
	}
	a := &state.Allocation{}
	d.clusterIP(r, s, a)
	d.nodePorts(r, s, a)
	if r.Allocation == nil || !equality.Semantic.DeepEqual(r.Allocation, a) {
		d.put(state.Put{Ref: r.Ref, Allocation: a, Why: "allocated"})
	}
}

func (d *draft) clusterIP(r *state.Record, s *corev1.Service, a *state.Allocation) {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		a.ClusterIPs = []string{corev1.ClusterIPNone}
		return
	}
	pool := d.addresses()
	switch {
	case s.Spec.ClusterIP != "":
		if holder, taken := pool.holder(s.Spec.ClusterIP); taken && holder != r.Ref {
			d.note(r.Ref, "spec.clusterIP", "provided IP is already allocated to "+holder.String())
			return
		}
		a.ClusterIPs = []string{s.Spec.ClusterIP}
	case r.Origin == state.Builtin && fixedOffset(r.Ref) > 0:
		a.ClusterIPs = []string{pool.at(fixedOffset(r.Ref))}
	case r.Allocation != nil && len(r.Allocation.ClusterIPs) > 0 && pool.contains(r.Allocation.ClusterIPs[0]):
		a.ClusterIPs = r.Allocation.ClusterIPs
	default:
		ip, ok := pool.free(r.Ref)
		if !ok {
			d.note(r.Ref, "spec.clusterIP", "no address of "+d.settings().ServiceCIDR+" is free")
			return
		}
		a.ClusterIPs = []string{ip}
	}
}

// fixedOffset is the place in the service range of the Services that have one by convention.
func fixedOffset(ref manifest.Ref) uint32 {
	switch ref {
	case manifest.ServiceRef(metav1.NamespaceDefault, kubernetesService):
		return 1
	case manifest.ServiceRef(metav1.NamespaceSystem, dnsService):
		return 10
	}
	return 0
}

func (d *draft) nodePorts(r *state.Record, s *corev1.Service, a *state.Allocation) {
	if s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.AllocateLoadBalancerNodePorts != nil && !*s.Spec.AllocateLoadBalancerNodePorts {
		return
	}
	pool := d.addresses()
	a.NodePorts = map[string]int32{}
	mine := map[int32]bool{} // one number may serve two protocols of a Service only where its author says so
	for i := range s.Spec.Ports {
		if port := s.Spec.Ports[i].NodePort; port != 0 {
			if holder, taken := pool.portHolder(port); taken && holder != r.Ref {
				d.note(r.Ref, "spec.ports", "provided port is already allocated to "+holder.String())
				continue
			}
			a.NodePorts[state.PortKey(&s.Spec.Ports[i])] = port
			mine[port] = true
		}
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		key := state.PortKey(p)
		if p.NodePort != 0 {
			continue
		}
		if r.Allocation != nil && r.Allocation.NodePorts[key] != 0 && !mine[r.Allocation.NodePorts[key]] {
			a.NodePorts[key] = r.Allocation.NodePorts[key]
			mine[a.NodePorts[key]] = true
			continue
		}
		port, ok := pool.freePort(r.Ref, key, mine)
		if !ok {
			d.note(r.Ref, "spec.ports", "no node port of "+d.settings().NodePorts+" is free")
			continue
		}
		a.NodePorts[key] = port
		mine[port] = true
	}
}
