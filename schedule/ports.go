package schedule

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

// hostPort is a port of a node that a Pod asks for: with a network of its own the node leads it to the
// Pod, on the node's network the Pod listens there itself. Nobody else may have either.
type hostPort struct {
	number
	ip string
}

// number is what two Pods may share if they ask for it at different addresses.
type number struct {
	protocol corev1.Protocol
	port     int32
}

func (n number) String() string { return fmt.Sprintf("%d/%s", n.port, n.protocol) }

// portsOf are the host ports of a Pod.
func portsOf(pod *corev1.Pod) (ports []hostPort) {
	for p := range manifest.HostPorts(&pod.Spec) {
		ports = append(ports, hostPort{number{protocolOf(p.Protocol), p.HostPort}, addressOf(p.HostIP)})
	}
	return ports
}

func protocolOf(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}

// anyAddress stands for every address of a node.
const anyAddress = "0.0.0.0"

func addressOf(ip string) string {
	if ip == "" || ip == "::" {
		return anyAddress
	}
	return ip
}

// clash says that two addresses cannot have the same port.
func clash(a, b string) bool { return a == b || a == anyAddress || b == anyAddress }

// taken is which addresses of a node have a port, one for each Pod that asked for it.
type taken map[number][]string

func (t taken) add(ports []hostPort) {
	for _, p := range ports {
		t[p.number] = append(t[p.number], p.ip)
	}
}

func (t taken) remove(ports []hostPort) {
	for _, p := range ports {
		at := slices.Index(t[p.number], p.ip)
		if at < 0 {
			continue
		}
		if t[p.number] = slices.Delete(t[p.number], at, at+1); len(t[p.number]) == 0 {
			delete(t, p.number)
		}
	}
}

// has says that a host port is in use, by the address itself or by one that stands for all.
func (t taken) has(p hostPort) bool {
	return slices.ContainsFunc(t[p.number], func(ip string) bool { return clash(ip, p.ip) })
}

// SharedPort is a host port that keeps two Pods off one node, as "8080/TCP"; empty if there is none.
func SharedPort(a, b *corev1.Pod) string {
	t := taken{}
	t.add(portsOf(a))
	for _, p := range portsOf(b) {
		if t.has(p) {
			return p.String()
		}
	}
	return ""
}
