package reconcile

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"writ/manifest"
	"writ/state"
)

const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"

// mirror makes EndpointSlices of authored Endpoints for a Service without a selector, as upstream's
// mirroring controller.
func (d *draft) mirror(r *state.Record) {
	e, ok := r.Object.(*corev1.Endpoints) //nolint:staticcheck // deprecated, and authored all the same
	if !ok || !d.mirrored(r, e) {
		d.removeSlices(d.current)
		return
	}
	var groups []group
	for i := range e.Subsets {
		subset := &e.Subsets[i]
		ports := subsetPorts(subset)
		for _, a := range subset.Addresses {
			groups = join(groups, ports, mirroredEndpoint(&a, true))
		}
		for _, a := range subset.NotReadyAddresses {
			groups = join(groups, ports, mirroredEndpoint(&a, false))
		}
	}
	if len(groups) == 0 {
		d.removeSlices(d.current)
		return
	}
	labels := map[string]string{}
	for k, v := range e.Labels {
		labels[k] = v
	}
	d.writeSlices(r, groups, labels, mirrorController)
}

func (d *draft) mirrored(r *state.Record, e *corev1.Endpoints) bool { //nolint:staticcheck // as above
	if r.Deletion != nil || e.Labels[discoveryv1.LabelSkipMirror] == "true" || e.Annotations[leaderAnnotation] != "" {
		return false
	}
	service := d.w.Get(manifest.ServiceRef(r.Ref.Namespace, r.Ref.Name))
	if service == nil {
		return false
	}
	s, ok := service.Object.(*corev1.Service)
	return ok && len(s.Spec.Selector) == 0
}

func subsetPorts(s *corev1.EndpointSubset) []discoveryv1.EndpointPort { //nolint:staticcheck // as above
	var ports []discoveryv1.EndpointPort
	for i := range s.Ports {
		p := s.Ports[i]
		name, number, protocol := p.Name, p.Port, p.Protocol
		ports = append(ports, discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &protocol, AppProtocol: p.AppProtocol})
	}
	return ports
}

func mirroredEndpoint(a *corev1.EndpointAddress, ready bool) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{
		Addresses: []string{a.IP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		TargetRef: a.TargetRef, NodeName: a.NodeName,
	}
	if a.Hostname != "" {
		hostname := a.Hostname
		e.Hostname = &hostname
	}
	e.Addresses = slices.Clip(e.Addresses)
	return e
}
