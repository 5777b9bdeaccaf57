package network

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// service describes a Service of namespace "default" for tests.
type service struct {
	name     string
	ip       string
	ports    []corev1.ServicePort
	nodePort int32 // of the first port
	sticky   int32 // seconds
	change   func(*corev1.ServiceSpec)
}

func tcp(port int32) []corev1.ServicePort { return ports(corev1.ProtocolTCP, port) }
func udp(port int32) []corev1.ServicePort { return ports(corev1.ProtocolUDP, port) }

func ports(proto corev1.Protocol, port int32) []corev1.ServicePort {
	return []corev1.ServicePort{{Name: "p", Protocol: proto, Port: port}}
}

func (s service) put() state.Put {
	o := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: s.name, Namespace: "default"}}
	o.Spec.Ports = s.ports
	o.Spec.SessionAffinity = corev1.ServiceAffinityNone
	if s.sticky > 0 {
		o.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		o.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &s.sticky}}
	}
	if s.change != nil {
		s.change(&o.Spec)
	}
	a := &state.Allocation{ClusterIPs: []string{s.ip}}
	if s.nodePort > 0 {
		a.NodePorts = map[string]int32{state.PortKey(&s.ports[0]): s.nodePort}
	}
	return state.Put{Ref: manifest.ServiceRef("default", s.name), Object: o, Origin: state.Derived, Allocation: a}
}

// endpoint is one address of a slice; its state is "ready" unless said otherwise.
type endpoint struct {
	ip    string
	state string // "", "notready", "terminating", "stopped"
	node  string
}

func (e endpoint) object() discoveryv1.Endpoint {
	yes, no := true, false
	c := discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no}
	switch e.state {
	case "notready":
		c.Ready, c.Serving = &no, &no
	case "terminating":
		c.Ready, c.Terminating = &no, &yes
	case "stopped":
		c.Ready, c.Serving, c.Terminating = &no, &no, &yes
	}
	o := discoveryv1.Endpoint{Addresses: []string{e.ip}, Conditions: c}
	if e.node != "" {
		o.NodeName = &e.node
	}
	return o
}

// slice is an EndpointSlice of a Service with the same port number and protocol for all its ports.
func slice(service, name string, proto corev1.Protocol, port int32, endpoints ...endpoint) state.Put {
	portName := "p"
	o := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &portName, Protocol: &proto, Port: &port}},
	}
	for _, e := range endpoints {
		o.Endpoints = append(o.Endpoints, e.object())
	}
	return state.Put{Ref: manifest.EndpointSliceRef("default", name), Object: o, Origin: state.Derived}
}

func ready(ips ...netip.Addr) []endpoint {
	var out []endpoint
	for _, ip := range ips {
		out = append(out, endpoint{ip: ip.String()})
	}
	return out
}

func podPut(name string, node state.Node, deletion *state.Deletion) state.Put {
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	return state.Put{Ref: manifest.PodRef("default", name), Object: o, Origin: state.Derived, Node: node, Deletion: deletion}
}

func nodePut(podCIDR string) state.Put {
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: string(self)}}
	o.Spec.PodCIDR = podCIDR
	return state.Put{Ref: manifest.NodeRef(string(self)), Object: o, Origin: state.Derived}
}

func uidOf(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }
