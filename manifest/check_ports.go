package manifest

import (
	"fmt"
	"net/netip"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// addresses reports node ports and cluster IPs that are asked for and cannot be given: outside of the
// range, or asked for by two Services.
func (w *whole) addresses() {
	low, high, err := w.settings.NodePortRange()
	prefix, errPrefix := netip.ParsePrefix(w.settings.ServiceCIDR)
	if err != nil || errPrefix != nil {
		return // reported where they are written
	}
	ports := map[int32]*parsed{}
	ips := map[netip.Addr]*parsed{}
	for _, p := range ofKind(w.objects, ServiceRef("", "")) {
		s := p.Object.(*corev1.Service)
		for i := range s.Spec.Ports {
			port, field := s.Spec.Ports[i].NodePort, index("spec.ports", i)+".nodePort"
			switch first := ports[port]; {
			case port == 0:
			case int(port) < low || int(port) > high:
				w.about(p, field, fmt.Sprintf("Invalid value: %d: provided port is not in the valid range. The range of valid ports is %d-%d", port, low, high))
			case first != nil && first != p:
				w.about(p, field, fmt.Sprintf("Invalid value: %d: provided port is already allocated: %s in %s asks for it too", port, first.Ref, first.Source))
			default:
				ports[port] = p
			}
		}
		ip, err := netip.ParseAddr(s.Spec.ClusterIP)
		if err != nil || !ip.Is4() || s.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		const field = "spec.clusterIP"
		holder := reserved(prefix, ip)
		switch first := ips[ip]; {
		case !prefix.Contains(ip):
			w.about(p, field, fmt.Sprintf("Invalid value: %q: the provided IP is not in the valid range %s", ip, prefix))
		case holder != (Ref{}) && holder != p.Ref:
			w.about(p, field, fmt.Sprintf("Invalid value: %q: the address belongs to %s", ip, holder))
		case first != nil:
			w.about(p, field, fmt.Sprintf("Invalid value: %q: provided IP is already allocated: %s in %s asks for it too", ip, first.Ref, first.Source))
		default:
			ips[ip] = p
		}
	}
}

// reserved is the Service of the cluster itself that has an address by convention: the first and the
// tenth of the range.
func reserved(prefix netip.Prefix, ip netip.Addr) Ref {
	at := prefix.Masked().Addr()
	for i := range 10 {
		at = at.Next()
		switch {
		case at != ip:
		case i == 0:
			return ServiceRef("default", "kubernetes")
		case i == 9:
			return ServiceRef("kube-system", "kube-dns")
		}
	}
	return Ref{}
}

// hostPort is a port of the node that pods ask for.
type hostPort struct {
	number   int32
	protocol corev1.Protocol
}

type hostClaim struct {
	by *parsed
	ip string
}

// hostPorts reports pods that ask for the same port of a node. With a single node they can never run
// together; with more, the scheduler may keep them apart.
func (w *whole) hostPorts() {
	nodes := len(ofKind(w.objects, NodeRef("")))
	claims := map[hostPort][]hostClaim{}
	for _, p := range w.objects {
		if p.pods == nil || p.Ref.Kind == "PodTemplate" || !stays(p.Object) {
			continue
		}
		eachPort(p.pods.spec, func(at string, c *corev1.ContainerPort) bool {
			if c.HostPort == 0 {
				return true
			}
			key := hostPort{c.HostPort, c.Protocol}
			for _, other := range claims[key] {
				if other.by == p || w.limited() {
					break
				}
				if other.ip != c.HostIP && !anyAddress(other.ip) && !anyAddress(c.HostIP) {
					continue
				}
				what := fmt.Sprintf("%d/%s is asked for by %s in %s too; a node has it once", c.HostPort, c.Protocol, other.by.Ref, other.by.Source)
				if nodes <= 1 || sameNode(p, other.by) {
					w.about(p, p.pods.path+"."+at+".hostPort", what)
				} else {
					w.hint(p, p.pods.path+"."+at+".hostPort", what)
				}
				break
			}
			claims[key] = append(claims[key], hostClaim{p, c.HostIP})
			return true
		})
	}
}

// hostAddress is why a port of the node cannot be at an address; empty if it can.
func hostAddress(port any) string {
	ip, err := netip.ParseAddr(port.(corev1.ContainerPort).HostIP)
	if err == nil && ip.Is6() && !ip.Is4In6() && !ip.IsUnspecified() {
		return "a port at an IPv6 address of the node is not supported yet"
	}
	return ""
}

func anyAddress(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }

// sameNode tells whether pods of both have to be on one node.
func sameNode(a, b *parsed) bool {
	if node := a.pods.spec.NodeName; node != "" && node == b.pods.spec.NodeName {
		return true
	}
	return everywhere(a) && everywhere(b)
}

// everywhere tells whether an object has a pod on every node.
func everywhere(p *parsed) bool {
	return p.Ref.Kind == "DaemonSet" && len(p.pods.spec.NodeSelector) == 0 && p.pods.spec.Affinity == nil
}

// stays tells whether an object has pods that are meant to run all the time.
func stays(obj Object) bool {
	some := func(replicas *int32) bool { return replicas == nil || *replicas > 0 }
	switch o := obj.(type) {
	case *batchv1.Job, *batchv1.CronJob:
		return false
	case *appsv1.Deployment:
		return some(o.Spec.Replicas)
	case *appsv1.ReplicaSet:
		return some(o.Spec.Replicas)
	case *appsv1.StatefulSet:
		return some(o.Spec.Replicas)
	case *corev1.ReplicationController:
		return some(o.Spec.Replicas)
	}
	return true
}

// autoscalers reports two that scale the same object.
func (w *whole) autoscalers() {
	scaled := map[Ref]*parsed{}
	for _, p := range ofKind(w.objects, Ref{Group: autoscalingv2.GroupName, Kind: "HorizontalPodAutoscaler"}) {
		target := ScaleTarget(p.Object.(*autoscalingv2.HorizontalPodAutoscaler))
		if first := scaled[target]; first != nil {
			w.about(p, "spec.scaleTargetRef", fmt.Sprintf("%s is scaled by %s in %s too; neither would scale it", target, first.Ref, first.Source))
			continue
		}
		scaled[target] = p
	}
}
