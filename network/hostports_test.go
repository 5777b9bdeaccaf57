package network

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

func hostPort(host, container int32, proto corev1.Protocol, ip string) corev1.ContainerPort {
	return corev1.ContainerPort{HostPort: host, ContainerPort: container, Protocol: proto, HostIP: ip}
}

// portPod is Pod pod-i of the node with host ports.
func portPod(i int, ports ...corev1.ContainerPort) state.Put {
	name := fmt.Sprintf("pod-%d", i)
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	o.Spec.Containers = []corev1.Container{{Name: "c", Ports: ports}}
	return state.Put{Ref: manifest.PodRef("default", name), Object: o, Origin: state.Derived, Node: self}
}

// leasesOf knows the addresses of pods by name.
func leasesOf(f *fakeFeed, ips map[string]string) Addresses {
	return func(uid string) netip.Addr {
		for r := range f.World().Pods("") {
			if string(r.UID) == uid && ips[r.Ref.Name] != "" {
				return netip.MustParseAddr(ips[r.Ref.Name])
			}
		}
		return netip.Addr{}
	}
}

func TestCompile_HostPorts(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	change := func(p state.Put, f func(*corev1.PodSpec)) state.Put {
		f(&p.Object.(*corev1.Pod).Spec)
		return p
	}
	tests := []struct {
		name string
		puts []state.Put
		want string
	}{
		{"none asked for", []state.Put{portPod(1, corev1.ContainerPort{ContainerPort: 80})}, ""},
		{"both protocols", []state.Put{portPod(1, hostPort(8081, 80, tcpProto, ""), hostPort(8081, 53, udpProto, ""))},
			"tcp/host:8081 pod default/pod-1 -> 10.244.0.1:80\nudp/host:8081 pod default/pod-1 -> 10.244.0.1:53"},
		{"one address, every address, an IPv6 one", []state.Put{portPod(1, hostPort(81, 80, tcpProto, "192.0.2.1"),
			hostPort(82, 80, tcpProto, "0.0.0.0"), hostPort(83, 80, tcpProto, "::"), hostPort(84, 80, tcpProto, "fd00::1"))},
			"tcp/host:82 pod default/pod-1 -> 10.244.0.1:80\ntcp/host:83 pod default/pod-1 -> 10.244.0.1:80\ntcp/host 192.0.2.1:81 pod default/pod-1 -> 10.244.0.1:80"},
		{"SCTP is not routed", []state.Put{portPod(1, hostPort(81, 80, corev1.ProtocolSCTP, ""))}, ""},
		{"a pod without an address has none", []state.Put{portPod(9, hostPort(81, 80, tcpProto, ""))}, ""},
		{"a pod on the node's own network has its own, which pods may come to", []state.Put{
			change(portPod(1, hostPort(81, 81, tcpProto, "")), func(s *corev1.PodSpec) { s.HostNetwork = true }),
		}, "tcp/host:81 pod default/pod-1 open to pods"},
		{"a sidecar has, another init container has not", []state.Put{
			change(portPod(1), func(s *corev1.PodSpec) {
				s.InitContainers = []corev1.Container{
					{Ports: []corev1.ContainerPort{hostPort(81, 80, tcpProto, "")}},
					{Ports: []corev1.ContainerPort{hostPort(82, 80, tcpProto, "")}, RestartPolicy: &always},
				}
			}),
		}, "tcp/host:82 pod default/pod-1 -> 10.244.0.1:80"},
		{"the first by name has a port that two ask for", []state.Put{
			portPod(2, hostPort(81, 80, tcpProto, "")), portPod(1, hostPort(81, 80, tcpProto, "")),
		}, "tcp/host:81 pod default/pod-1 -> 10.244.0.1:80"},
		{"not of another node", []state.Put{func() state.Put { p := portPod(1, hostPort(81, 80, tcpProto, "")); p.Node = "other"; return p }()}, ""},
		{"beside a node port of the same number", []state.Put{
			service{name: "web", ip: "10.96.0.50", ports: tcp(80), nodePort: 30080}.put(), portPod(1, hostPort(30080, 80, tcpProto, "")),
		}, "tcp/node:30080 default/web refused\ntcp/host:30080 pod default/pod-1 -> 10.244.0.1:80\ntcp/10.96.0.50:80 default/web refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFeed(t)
			f.put(append(tt.puts, nodePut("10.244.0.0/24"))...)
			rs, err := Compile(state.Share(f.World(), self), leasesOf(f, map[string]string{"pod-1": "10.244.0.1", "pod-2": "10.244.0.2"}))
			if err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(rs.String(), "\n")
			if got = strings.TrimSpace(got); got != tt.want {
				t.Errorf("ruleset:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// TestDelta_OneHostPortIsOneElement: what a pod costs does not depend on how many there are.
func TestDelta_OneHostPortIsOneElement(t *testing.T) {
	f := newFeed(t)
	ips := map[string]string{}
	var puts []state.Put
	for i := range 500 {
		puts = append(puts, portPod(i, hostPort(int32(1000+i), 80, tcpProto, "")))
		ips[fmt.Sprintf("pod-%d", i)] = fmt.Sprintf("10.244.%d.%d", i/250, 2+i%250)
	}
	f.put(puts...)
	at := leasesOf(f, ips)
	rs, err := Compile(state.Share(f.World(), self), at)
	if err != nil {
		t.Fatal(err)
	}
	seen := f.World().Revision()
	delete(ips, "pod-77") // detached, which the World does not say
	changes, w, _ := f.Since(seen)
	gone, deltas, err := Update(rs, state.Share(w, self), changes, at, manifest.PodRef("default", "pod-77"))
	if got := text(deltas); err != nil || got != "- tcp/host:1077 pod default/pod-77 -> 10.244.0.79:80" {
		t.Errorf("deltas of a pod that is detached: %q, %v", got, err)
	}
	var was, is content
	was.add(deltas[0].Old)
	writes := 0
	for i := range was {
		deletes, adds := difference(indexed(was[i]), is[i])
		writes += len(deletes) + len(adds)
	}
	if writes != 1 {
		t.Errorf("elements written: %d, want 1", writes)
	}
	ips["pod-77"] = "10.244.3.3"
	back, deltas, err := Update(gone, state.Share(w, self), nil, at, manifest.PodRef("default", "pod-77"))
	if got := text(deltas); err != nil || got != "+ tcp/host:1077 pod default/pod-77 -> 10.244.3.3:80" {
		t.Errorf("deltas of a pod that is attached: %q, %v", got, err)
	}
	if full, _ := Compile(state.Share(w, self), at); full.String() != back.String() {
		t.Errorf("updated:\n%s\ncompiled:\n%s", back, full)
	}
}

func TestStale_HostPort(t *testing.T) {
	f := newFeed(t)
	f.put(portPod(1, hostPort(5353, 53, udpProto, ""), hostPort(80, 80, tcpProto, "")))
	at := leasesOf(f, map[string]string{"pod-1": "10.244.0.1"})
	empty, _ := Compile(state.Share(f.World(), self), nil)
	rs, _ := Compile(state.Share(f.World(), self), at)
	for _, tt := range []struct {
		name string
		from Ruleset
		to   Ruleset
		want string
	}{
		{"added", empty, rs, "map[udp/host:5353:map[10.244.0.1:53:true]]"},
		{"removed", rs, empty, "map[udp/host:5353:map[]]"},
		{"same", rs, rs, "map[]"},
	} {
		if got := fmt.Sprint(staleOf(Diff(tt.from, tt.to)).serve); got != tt.want {
			t.Errorf("stale flows, %s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
