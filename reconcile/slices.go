package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// maxEndpoints is upstream's limit of endpoints in a slice.
const maxEndpoints = 100

// Values of the managed-by label of upstream's controllers.
const (
	sliceController  = "endpointslice-controller.k8s.io"
	mirrorController = "endpointslicemirroring-controller.k8s.io"
)

// endpoints keeps the EndpointSlices of a Service with a selector.
func (d *draft) endpoints(r *state.Record) {
	s, ok := r.Object.(*corev1.Service)
	if !ok || r.Deletion != nil || len(s.Spec.Selector) == 0 || s.Spec.Type == corev1.ServiceTypeExternalName || d.uses(r) {
		d.removeSlices(d.current)
		return
	}
	var groups []group
	for p := range d.w.Select("", "Pod", r.Ref.Namespace, labels.SelectorFromValidatedSet(s.Spec.Selector)) {
		if terminal(p) || p.PodStatus().PodIP == "" || inQuarantine(p) {
			continue
		}
		groups = join(groups, portsFor(s, p.Pod()), d.endpoint(s, p))
	}
	if len(groups) == 0 {
		groups = []group{{}} // upstream's placeholder: the Service is known, and has no endpoints
	}
	sliceLabels := maps.Clone(s.Labels)
	if sliceLabels == nil {
		sliceLabels = map[string]string{}
	}
	delete(sliceLabels, corev1.IsHeadlessService)
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		sliceLabels[corev1.IsHeadlessService] = ""
	}
	d.writeSlices(r, groups, sliceLabels, sliceController)
}

// group is the endpoints that serve the same ports.
type group struct {
	ports     []discoveryv1.EndpointPort
	endpoints []discoveryv1.Endpoint
}

func join(groups []group, ports []discoveryv1.EndpointPort, e discoveryv1.Endpoint) []group {
	for i := range groups {
		if equality.Semantic.DeepEqual(groups[i].ports, ports) {
			groups[i].endpoints = append(groups[i].endpoints, e)
			return groups
		}
	}
	return append(groups, group{ports: ports, endpoints: []discoveryv1.Endpoint{e}})
}

// portsFor are the ports of a Service on a Pod; one whose named target port the Pod does not have is
// left out, as upstream does.
func portsFor(s *corev1.Service, pod *corev1.Pod) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		number, ok := targetPort(p, pod)
		if !ok {
			continue
		}
		name, protocol := p.Name, p.Protocol
		ports = append(ports, discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &protocol, AppProtocol: p.AppProtocol})
	}
	return ports
}

func targetPort(p *corev1.ServicePort, pod *corev1.Pod) (int32, bool) {
	if p.TargetPort.Type == intstr.Int {
		if p.TargetPort.IntVal == 0 {
			return p.Port, true
		}
		return p.TargetPort.IntVal, true
	}
	containers := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if manifest.Sidecar(&c) {
			containers = append(containers, c)
		}
	}
	for i := range containers {
		for _, port := range containers[i].Ports {
			if port.Name == p.TargetPort.StrVal && port.Protocol == p.Protocol {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}

func (d *draft) endpoint(s *corev1.Service, p *state.Record) discoveryv1.Endpoint {
	pod := p.Pod()
	serving, terminating := podReady(p), p.Deletion != nil
	ready := s.Spec.PublishNotReadyAddresses || serving && !terminating
	node := string(p.Node)
	e := discoveryv1.Endpoint{
		Addresses:  []string{p.PodStatus().PodIP},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: p.Ref.Namespace, Name: p.Ref.Name, UID: p.UID},
	}
	if node != "" {
		e.NodeName = &node
	}
	if n := d.w.Get(manifest.NodeRef(node)); n != nil {
		if z := zone(n); z != "" {
			e.Zone = &z
		}
	}
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == s.Name && p.Ref.Namespace == s.Namespace {
		hostname := pod.Spec.Hostname
		e.Hostname = &hostname
	}
	return e
}

// writeSlices brings the slices of an owner to the groups, moving as few endpoints as it can: those
// that stay keep their slice, new ones fill the gaps, and only then slices are added.
func (d *draft) writeSlices(owner *state.Record, groups []group, sliceLabels map[string]string, by string) {
	sliceLabels[discoveryv1.LabelServiceName] = owner.Ref.Name
	sliceLabels[discoveryv1.LabelManagedBy] = by
	have := d.slicesOf(owner.Ref, by)
	for _, g := range groups {
		have = d.writeGroup(owner, g, sliceLabels, have)
	}
	for _, r := range have {
		d.delete(r, "no endpoints for it")
	}
}

// slicesOf are the slices that this package made for an owner, by name.
func (d *draft) slicesOf(owner manifest.Ref, by string) []*state.Record {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: owner.Name})
	var have []*state.Record
	for r := range d.w.Select("discovery.k8s.io", "EndpointSlice", owner.Namespace, selector) {
		if r.Object.GetLabels()[discoveryv1.LabelManagedBy] == by && r.Origin != state.Authored {
			have = append(have, r)
		}
	}
	return have
}

// writeGroup uses the slices that have the ports of a group and gives back the others.
func (d *draft) writeGroup(owner *state.Record, g group, sliceLabels map[string]string, have []*state.Record) (rest []*state.Record) {
	want := map[string]discoveryv1.Endpoint{}
	for _, e := range g.endpoints {
		want[endpointKey(&e)] = e
	}
	var mine []*state.Record
	var kept [][]discoveryv1.Endpoint
	for _, r := range have {
		s, ok := r.Object.(*discoveryv1.EndpointSlice)
		if !ok || !ownedBy(r, owner) || len(s.Endpoints) > 0 && !samePorts(s.Ports, g.ports) {
			rest = append(rest, r)
			continue
		}
		var stay []discoveryv1.Endpoint
		for i := range s.Endpoints {
			key := endpointKey(&s.Endpoints[i])
			if e, ok := want[key]; ok {
				stay = append(stay, e)
				delete(want, key)
			}
		}
		mine, kept = append(mine, r), append(kept, stay)
	}
	fresh := slices.Sorted(maps.Keys(want))
	for i := range kept {
		for len(fresh) > 0 && len(kept[i]) < maxEndpoints {
			kept[i] = append(kept[i], want[fresh[0]])
			fresh = fresh[1:]
		}
	}
	empty := len(mine) == 0 || len(g.endpoints) > 0
	for i, r := range mine {
		if len(kept[i]) == 0 && (empty || i > 0) {
			rest = append(rest, r)
			continue
		}
		d.writeSlice(owner, r, sliceLabels, g.ports, kept[i])
	}
	for n := 0; len(fresh) > 0 || len(mine) == 0 && n == 0; n++ {
		count := min(len(fresh), maxEndpoints)
		var list []discoveryv1.Endpoint
		for _, key := range fresh[:count] {
			list = append(list, want[key])
		}
		fresh = fresh[count:]
		d.writeSlice(owner, nil, sliceLabels, g.ports, list)
	}
	return rest
}

func samePorts(a, b []discoveryv1.EndpointPort) bool {
	return len(a) == 0 && len(b) == 0 || equality.Semantic.DeepEqual(a, b)
}

func ownedBy(r, owner *state.Record) bool {
	c := metav1.GetControllerOfNoCopy(r.Object)
	return c != nil && c.UID == owner.UID
}

func endpointKey(e *discoveryv1.Endpoint) string {
	if e.TargetRef != nil && e.TargetRef.UID != "" {
		return string(e.TargetRef.UID)
	}
	return strings.Join(e.Addresses, ",")
}

func (d *draft) writeSlice(owner, r *state.Record, sliceLabels map[string]string, ports []discoveryv1.EndpointPort, list []discoveryv1.Endpoint) {
	var ref manifest.Ref
	if r != nil {
		ref = r.Ref
	} else {
		ref = d.freeSliceName(owner)
	}
	slices.SortFunc(list, func(a, b discoveryv1.Endpoint) int {
		return cmp.Or(strings.Compare(targetName(&a), targetName(&b)), strings.Compare(strings.Join(a.Addresses, ","), strings.Join(b.Addresses, ",")))
	})
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ref.Namespace, Name: ref.Name, GenerateName: owner.Ref.Name + "-", Labels: sliceLabels,
			OwnerReferences: []metav1.OwnerReference{controllerRef(owner)},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: ports, Endpoints: list,
	}
	if r != nil && equality.Semantic.DeepEqual(r.Object, s) {
		return
	}
	d.put(state.Put{Ref: ref, Object: s, Origin: state.Derived})
}

func targetName(e *discoveryv1.Endpoint) string {
	if e.TargetRef == nil {
		return ""
	}
	return e.TargetRef.Name
}

func (d *draft) freeSliceName(owner *state.Record) manifest.Ref {
	for i := 0; ; i++ {
		ref := manifest.EndpointSliceRef(owner.Ref.Namespace, generatedName(owner.Ref.Name+"-", admit.Suffix(string(owner.UID), strconv.Itoa(i))))
		if d.w.Get(ref) == nil {
			return ref
		}
	}
}

// removeSlices takes away what was made for a Service or Endpoints that is gone or needs none.
func (d *draft) removeSlices(k Key) {
	by := sliceController
	if k.Concern == mirrors {
		by = mirrorController
	}
	for _, r := range d.slicesOf(k.Ref, by) {
		d.delete(r, "no service needs it")
	}
}
