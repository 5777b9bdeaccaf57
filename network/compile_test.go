package network

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

const tcpProto, udpProto = corev1.ProtocolTCP, corev1.ProtocolUDP

func TestCompile(t *testing.T) {
	const head = "pods 10.244.0.0/16 here 10.244.0.0/24 services 10.96.0.0/16 dns 10.96.0.10\n"
	web := service{name: "web", ip: "10.96.0.50", ports: tcp(80)}
	local := corev1.ServiceInternalTrafficPolicyLocal
	tests := []struct {
		name string
		puts []state.Put
		want string
	}{
		{"nothing", nil, ""},
		{"no endpoints", []state.Put{web.put()}, "tcp/10.96.0.50:80 default/web refused"},
		{"ready endpoints of all slices, sorted, each once", []state.Put{
			web.put(),
			slice("web", "web-b", tcpProto, 8080, endpoint{ip: "10.244.0.9"}, endpoint{ip: "10.244.0.7"}),
			slice("web", "web-a", tcpProto, 8080, endpoint{ip: "10.244.0.8"}, endpoint{ip: "10.244.0.9"}),
		}, "tcp/10.96.0.50:80 default/web -> 10.244.0.7:8080 10.244.0.8:8080 10.244.0.9:8080"},
		{"not ready is no target", []state.Put{
			web.put(), slice("web", "a", tcpProto, 8080, endpoint{ip: "10.244.0.7", state: "notready"}),
		}, "tcp/10.96.0.50:80 default/web refused"},
		{"terminating only while nothing is ready", []state.Put{
			web.put(), slice("web", "a", tcpProto, 8080,
				endpoint{ip: "10.244.0.7", state: "terminating"}, endpoint{ip: "10.244.0.8", state: "stopped"}),
		}, "tcp/10.96.0.50:80 default/web -> 10.244.0.7:8080"},
		{"ready before terminating", []state.Put{
			web.put(), slice("web", "a", tcpProto, 8080,
				endpoint{ip: "10.244.0.7", state: "terminating"}, endpoint{ip: "10.244.0.8"}),
		}, "tcp/10.96.0.50:80 default/web -> 10.244.0.8:8080"},
		{"other protocol is another port", []state.Put{
			web.put(), slice("web", "a", udpProto, 8080, endpoint{ip: "10.244.0.7"}),
		}, "tcp/10.96.0.50:80 default/web refused"},
		{"node port and affinity", []state.Put{
			service{name: "web", ip: "10.96.0.50", ports: udp(80), nodePort: 30080, sticky: 60}.put(),
			slice("web", "a", udpProto, 53, endpoint{ip: "10.244.0.7"}),
		}, "udp/node:30080 default/web sticky 60s -> 10.244.0.7:53\nudp/10.96.0.50:80 default/web sticky 60s -> 10.244.0.7:53"},
		{"affinity without a number has upstream's", []state.Put{
			service{name: "web", ip: "10.96.0.50", ports: tcp(80), change: func(s *corev1.ServiceSpec) {
				s.SessionAffinity = corev1.ServiceAffinityClientIP
			}}.put(),
		}, "tcp/10.96.0.50:80 default/web sticky 10800s refused"},
		{"local traffic policies", []state.Put{
			service{name: "web", ip: "10.96.0.50", ports: tcp(80), nodePort: 30080, change: func(s *corev1.ServiceSpec) {
				s.InternalTrafficPolicy = &local
			}}.put(),
			slice("web", "a", tcpProto, 8080, endpoint{ip: "10.244.0.7", node: string(self)}, endpoint{ip: "10.244.1.7", node: "other"}),
		}, "tcp/node:30080 default/web -> 10.244.0.7:8080 10.244.1.7:8080\ntcp/10.96.0.50:80 default/web -> 10.244.0.7:8080"},
		{"headless, external name, DNS and SCTP are not routed", []state.Put{
			service{name: "headless", ip: "None", ports: tcp(80)}.put(),
			service{name: "dns", ip: "10.96.0.10", ports: udp(53)}.put(),
			service{name: "sctp", ip: "10.96.0.60", ports: ports(corev1.ProtocolSCTP, 80)}.put(),
			service{name: "name", ip: "10.96.0.61", ports: tcp(80), change: func(s *corev1.ServiceSpec) {
				s.Type = corev1.ServiceTypeExternalName
			}}.put(),
		}, ""},
		{"addresses that lead to the node itself are left out", []state.Put{
			web.put(), slice("web", "a", tcpProto, 8080, endpoint{ip: "127.0.0.1"}, endpoint{ip: "169.254.169.254"},
				endpoint{ip: "224.0.0.1"}, endpoint{ip: "0.0.0.0"}, endpoint{ip: "nonsense"}, endpoint{ip: "::1"}),
		}, "tcp/10.96.0.50:80 default/web refused"},
		{"the first by name has an address that two claim", []state.Put{
			web.put(), service{name: "alpha", ip: "10.96.0.50", ports: tcp(80)}.put(),
			slice("web", "a", tcpProto, 8080, endpoint{ip: "10.244.0.7"}),
		}, "tcp/10.96.0.50:80 default/alpha refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFeed(t)
			f.put(append(tt.puts, nodePut("10.244.0.0/24"))...)
			rs, err := Compile(state.Share(f.World(), self), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.TrimSpace(rs.String()), strings.TrimSpace(head+tt.want); got != want {
				t.Errorf("ruleset:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestCompile_ShareIsEnough(t *testing.T) {
	f := newFeed(t)
	f.put(service{name: "web", ip: "10.96.0.50", ports: tcp(80)}.put(), slice("web", "a", tcpProto, 8080, endpoint{ip: "10.244.1.7"}))
	var texts []string
	for _, node := range []state.Node{self, "other"} {
		rs, err := Compile(state.Share(f.World(), node), nil)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, rs.String())
	}
	if texts[0] != texts[1] {
		t.Errorf("rulesets of two nodes differ:\n%s\n%s", texts[0], texts[1])
	}
}

func TestRanges(t *testing.T) {
	tests := []struct {
		name string
		spec manifest.ClusterSpec
		node string
		want string // node's range and DNS, or a part of the error
	}{
		{"defaults", manifest.ClusterSpec{}, "10.244.7.0/24", "10.244.7.0/24 10.96.0.10"},
		{"settings", manifest.ClusterSpec{PodCIDR: "172.20.0.0/16", ServiceCIDR: "172.21.0.0/24"}, "172.20.0.0/24", "172.20.0.0/24 172.21.0.10"},
		{"the whole", manifest.ClusterSpec{PodCIDR: "10.1.1.0/27"}, "10.1.1.0/27", "10.1.1.0/27 10.96.0.10"},
		{"not masked", manifest.ClusterSpec{PodCIDR: "10.1.1.7/16"}, "10.1.0.9/24", "10.1.0.0/24 10.96.0.10"},
		{"none left", manifest.ClusterSpec{}, "", "node node-1 has no pod range: none is left in the cluster's 10.244.0.0/16"},
		{"not in the cluster", manifest.ClusterSpec{}, "no node", "10.244.0.0/16 10.96.0.10"},
		{"overlap", manifest.ClusterSpec{PodCIDR: "10.96.0.0/12"}, "10.96.0.0/24", "pod range 10.96.0.0/12 and service range 10.96.0.0/16 overlap"},
		{"node outside", manifest.ClusterSpec{}, "10.9.0.0/24", "pod range 10.9.0.0/24 of node node-1 is not within the cluster's 10.244.0.0/16"},
		{"six", manifest.ClusterSpec{PodCIDR: "fd00::/64"}, "", "pod range fd00::/64 is not IPv4"},
		{"nonsense", manifest.ClusterSpec{ServiceCIDR: "x"}, "", `parse service range "x"`},
		{"no room for DNS", manifest.ClusterSpec{ServiceCIDR: "10.96.0.0/30"}, "10.244.0.0/24", "has no tenth address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFeed(t)
			f.adopt(tt.spec)
			if tt.node != "no node" {
				f.put(nodePut(tt.node))
			}
			r, err := rangesOf(state.Share(f.World(), self))
			got := r.Node.String() + " " + r.DNS.String()
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("ranges: got %q, want %q", got, tt.want)
			}
		})
	}
}
