package runtime

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Options on several lines of the node's own file add up, as they do for the kubelet and for the C library.
func TestResolvConf_OptionsOfTheNode(t *testing.T) {
	value := "5"
	p := pod("web", "img", func(p *corev1.Pod) {
		p.Spec.DNSPolicy = corev1.DNSDefault
		p.Spec.DNSConfig = &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "timeout", Value: &value}, {Name: "edns0"}}}
	})
	got, _ := resolvConf(p, netip.Addr{}, "cluster.local", "nameserver 192.0.2.1\noptions ndots:2 rotate\n# options use-vc\noptions timeout:1 ndots:3\n")
	if want := "nameserver 192.0.2.1\noptions ndots:3 rotate timeout:5 edns0\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
