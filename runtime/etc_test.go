package runtime

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestResolvConf(t *testing.T) {
	const host = "# made by hand\nsearch corp.example lan\nnameserver 192.0.2.53\noptions timeout:1\n"
	const cluster = "search default.svc.cluster.local svc.cluster.local cluster.local corp.example lan\nnameserver 10.96.0.10\noptions ndots:5\n"
	const own = "search corp.example lan\nnameserver 192.0.2.53\noptions timeout:1\n"
	two := "2"
	for _, tt := range []struct {
		name   string
		change func(*corev1.PodSpec)
		dns    string
		want   string
	}{
		{"cluster first", func(*corev1.PodSpec) {}, "10.96.0.10", cluster},
		{"the node's", func(s *corev1.PodSpec) { s.DNSPolicy = corev1.DNSDefault }, "10.96.0.10", own},
		{"host network", func(s *corev1.PodSpec) { s.HostNetwork = true }, "10.96.0.10", own},
		{"host network that asks", func(s *corev1.PodSpec) { s.HostNetwork, s.DNSPolicy = true, corev1.DNSClusterFirstWithHostNet }, "10.96.0.10", cluster},
		{"no cluster resolver yet", func(*corev1.PodSpec) {}, "", own},
		{"none", func(s *corev1.PodSpec) {
			s.DNSPolicy = corev1.DNSNone
			s.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}, Searches: []string{"x.example"}}
		}, "10.96.0.10", "search x.example\nnameserver 1.1.1.1\n"},
		{"options replace and add", func(s *corev1.PodSpec) {
			s.DNSConfig = &corev1.PodDNSConfig{Searches: []string{"lan", "x.example"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "edns0"}}}
		}, "10.96.0.10", "search default.svc.cluster.local svc.cluster.local cluster.local corp.example lan x.example\nnameserver 10.96.0.10\noptions ndots:2 edns0\n"},
	} {
		p := pod("web", "img", func(p *corev1.Pod) { tt.change(&p.Spec) })
		var dns netip.Addr
		if tt.dns != "" {
			dns = netip.MustParseAddr(tt.dns)
		}
		if got := resolvConf(p, dns, "cluster.local", host); got != tt.want {
			t.Errorf("%s: got\n%swant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestHostsFile(t *testing.T) {
	p := pod("web-0", "img", func(p *corev1.Pod) {
		p.Spec.Subdomain = "web"
		p.Spec.HostAliases = []corev1.HostAlias{{IP: "192.0.2.9", Hostnames: []string{"a.example", "b.example"}}}
	})
	got := hostsFile(p, "10.0.0.7", "cluster.local", "")
	for _, want := range []string{"127.0.0.1\tlocalhost\n", "10.0.0.7\tweb-0.web.default.svc.cluster.local\tweb-0\n", "192.0.2.9\ta.example\tb.example\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("hosts file has no line %q:\n%s", want, got)
		}
	}
	long := pod(strings.Repeat("a", 62)+"-b", "img", nil)
	if got := hostname(long, "cluster.local"); got != strings.Repeat("a", 62) {
		t.Errorf("hostname of a long name is %q", got)
	}
}
