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
		if got, _ := resolvConf(p, dns, "cluster.local", host); got != tt.want {
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
	if got, err := hostname(long, "cluster.local"); got != strings.Repeat("a", 62) || err != nil {
		t.Errorf("hostname of a long name is %q, %v", got, err)
	}
}

func TestHostname(t *testing.T) {
	yes, override := true, "shown.example"
	for _, tt := range []struct {
		name       string
		change     func(*corev1.PodSpec)
		want, fail string
		hosts      string
	}{
		{"the pod's name", func(*corev1.PodSpec) {}, "web", "", "10.0.0.7\tweb\n"},
		{"its own", func(s *corev1.PodSpec) { s.Hostname = "box" }, "box", "", "10.0.0.7\tbox\n"},
		{"a subdomain", func(s *corev1.PodSpec) { s.Subdomain = "sub" }, "web", "", "10.0.0.7\tweb.sub.default.svc.cluster.local\tweb\n"},
		{"in full", func(s *corev1.PodSpec) { s.Subdomain, s.SetHostnameAsFQDN = "sub", &yes }, "web.sub.default.svc.cluster.local", "",
			"10.0.0.7\tweb.sub.default.svc.cluster.local\tweb\n"},
		{"in full without a subdomain", func(s *corev1.PodSpec) { s.SetHostnameAsFQDN = &yes }, "web", "", "10.0.0.7\tweb\n"},
		{"too long in full", func(s *corev1.PodSpec) {
			s.Hostname, s.Subdomain, s.SetHostnameAsFQDN = strings.Repeat("h", 40), "sub", &yes
		}, "",
			"failed to construct FQDN from pod hostname and cluster domain, FQDN " + strings.Repeat("h", 40) +
				".sub.default.svc.cluster.local is too long (64 characters is the max, 70 characters requested)", ""},
		{"overridden", func(s *corev1.PodSpec) { s.Hostname, s.Subdomain, s.HostnameOverride = "box", "sub", &override }, "shown.example", "", "10.0.0.7\tshown.example\n"},
	} {
		p := pod("web", "img", func(p *corev1.Pod) { tt.change(&p.Spec) })
		got, err := hostname(p, "cluster.local")
		if got != tt.want || (err == nil) != (tt.fail == "") || err != nil && err.Error() != tt.fail {
			t.Errorf("%s: got %q, %v, want %q, %q", tt.name, got, err, tt.want, tt.fail)
		}
		if hosts := hostsFile(p, "10.0.0.7", "cluster.local", ""); !strings.Contains(hosts, tt.hosts) {
			t.Errorf("%s: hosts file has no line %q:\n%s", tt.name, tt.hosts, hosts)
		}
	}
}

func TestResolvConf_Notices(t *testing.T) {
	many := func(n, size int) []string {
		var out []string
		for i := range n {
			out = append(out, strings.Repeat("a", size-3)+"."+string(rune('a'+i/26))+string(rune('a'+i%26)))
		}
		return out
	}
	config := func(c corev1.PodDNSConfig) func(*corev1.PodSpec) { return func(s *corev1.PodSpec) { s.DNSConfig = &c } }
	for _, tt := range []struct {
		name   string
		change func(*corev1.PodSpec)
		dns    netip.Addr
		want   string
	}{
		{"nothing to say", func(*corev1.PodSpec) {}, netip.MustParseAddr("10.96.0.10"), ""},
		{"no cluster resolver", func(*corev1.PodSpec) {}, netip.Addr{}, "MissingClusterDNS"},
		{"no cluster resolver and the node's network", func(s *corev1.PodSpec) { s.HostNetwork = true }, netip.Addr{}, ""},
		{"one that must be there", func(s *corev1.PodSpec) { s.HostNetwork, s.DNSPolicy = true, corev1.DNSClusterFirstWithHostNet }, netip.Addr{}, "MissingClusterDNS"},
		{"four servers", config(corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1", "1.1.1.2", "1.1.1.3"}}), netip.MustParseAddr("10.96.0.10"),
			"DNSConfigForming: Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.96.0.10 1.1.1.1 1.1.1.2"},
		{"too many paths", config(corev1.PodDNSConfig{Searches: many(33, 10)}), netip.MustParseAddr("10.96.0.10"), "DNSConfigForming: Search Line limits were exceeded"},
		{"too long a line", config(corev1.PodDNSConfig{Searches: many(20, 120)}), netip.MustParseAddr("10.96.0.10"), "DNSConfigForming: Search Line limits were exceeded"},
		{"too long a path", config(corev1.PodDNSConfig{Searches: many(1, 260)}), netip.MustParseAddr("10.96.0.10"), "DNSConfigForming: Search Line limits were exceeded"},
	} {
		p := pod("web", "img", func(p *corev1.Pod) { tt.change(&p.Spec) })
		text, notices := resolvConf(p, tt.dns, "cluster.local", "")
		got := ""
		for _, n := range notices {
			got += n.reason + ": " + n.message
		}
		if !strings.HasPrefix(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
		}
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); f[0] == "search" && (len(f)-1 > 32 || len(line) > 2048+len("search \n")) {
				t.Errorf("%s: the search line has %d names and %d bytes", tt.name, len(f)-1, len(line))
			}
		}
	}
}
