package reconcile

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// collisions gives the cluster IPs and node ports that a commit asks for and that cannot be given:
// outside the range, or held by another Service.
func (d *draft) collisions(f *difference) manifest.Mistakes {
	taken := newAddresses(d.settings())
	for r := range d.w.Services("") {
		if item, ok := d.set.Get(r.Ref); r.Origin == state.Builtin || ok && keeps(r, item.Object) {
			taken.take(r)
		}
	}
	taken.reserve()
	var m manifest.Mistakes
	for item := range d.set.All() {
		s, ok := item.Object.(*corev1.Service)
		if !ok {
			continue
		}
		for field, what := range taken.claim(item.Ref, s) {
			m = append(m, manifest.Mistake{Source: item.Source, Ref: item.Ref, What: field + ": " + what})
		}
	}
	return m
}

// keeps says that a Service keeps its allocation: it has nothing that its author wrote otherwise.
func keeps(r *state.Record, now manifest.Object) bool {
	s, ok := now.(*corev1.Service)
	return ok && r.Allocation != nil && s.Spec.Type != corev1.ServiceTypeExternalName
}

// reserve holds the addresses that are given by convention.
func (a *addresses) reserve() {
	for _, ref := range []manifest.Ref{manifest.ServiceRef("default", kubernetesService), manifest.ServiceRef("kube-system", dnsService)} {
		if ip := a.at(fixedOffset(ref)); a.ips[ip] == (manifest.Ref{}) {
			a.ips[ip] = ref
		}
	}
}

// claim takes what a Service asks for by itself, yielding what it cannot have by field.
func (a *addresses) claim(ref manifest.Ref, s *corev1.Service) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		if ip := s.Spec.ClusterIP; ip != "" && ip != corev1.ClusterIPNone && s.Spec.Type != corev1.ServiceTypeExternalName {
			holder, taken := a.holder(ip)
			switch {
			case !a.contains(ip):
				if !yield("spec.clusterIP", fmt.Sprintf("Invalid value: %q: the provided IP is not in the valid range %s", ip, a.prefix)) {
					return
				}
			case taken && holder != ref:
				if !yield("spec.clusterIP", fmt.Sprintf("Invalid value: %q: provided IP is already allocated to %s", ip, holder)) {
					return
				}
			default:
				a.ips[ip] = ref
			}
		}
		for i := range s.Spec.Ports {
			port := s.Spec.Ports[i].NodePort
			if port == 0 {
				continue
			}
			field := fmt.Sprintf("spec.ports[%d].nodePort", i)
			holder, taken := a.portHolder(port)
			switch {
			case port < a.low || port > a.high:
				if !yield(field, fmt.Sprintf("Invalid value: %d: provided port is not in the valid range. The range of valid ports is %d-%d", port, a.low, a.high)) {
					return
				}
			case taken && holder != ref:
				if !yield(field, fmt.Sprintf("Invalid value: %d: provided port is already allocated to %s", port, holder)) {
					return
				}
			default:
				a.ports[port] = ref
			}
		}
	}
}
