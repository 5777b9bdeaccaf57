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

// starved looks again at the Services that could not be given all that they need.
func (d *draft) starved() {
	for r := range d.w.Services("") {
		s, ok := r.Object.(*corev1.Service)
		if ok && r.Allocation != nil && lacks(s, r.Allocation) {
			d.queue.add(Key{allocation, r.Ref})
		}
	}
}

func lacks(s *corev1.Service, a *state.Allocation) bool {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return false
	}
	return len(a.ClusterIPs) == 0 || givesNodePorts(s) && len(a.NodePorts) < len(s.Spec.Ports)
}

// givesNodePorts says that every port of a Service is to be reached on the nodes.
func givesNodePorts(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		return s.Spec.AllocateLoadBalancerNodePorts == nil || *s.Spec.AllocateLoadBalancerNodePorts
	}
	return false
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

// writtenPorts takes the node ports that the author of a Service wrote, and gives them.
func (d *draft) writtenPorts(r *state.Record, s *corev1.Service, a *state.Allocation) map[int32]bool {
	mine := map[int32]bool{}
	if s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return mine
	}
	a.NodePorts = map[string]int32{}
	for i := range s.Spec.Ports {
		port := s.Spec.Ports[i].NodePort
		if port == 0 {
			continue
		}
		if holder, taken := d.addresses().portHolder(port); taken && holder != r.Ref {
			d.note(r.Ref, "spec.ports", "provided port is already allocated to "+holder.String())
			continue
		}
		a.NodePorts[state.PortKey(&s.Spec.Ports[i])] = port
		mine[port] = true
	}
	return mine
}

func (d *draft) nodePorts(r *state.Record, s *corev1.Service, a *state.Allocation) {
	mine := d.writtenPorts(r, s, a) // one number may serve two protocols of a Service only where its author says so
	if !givesNodePorts(s) {
		return
	}
	pool := d.addresses()
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
