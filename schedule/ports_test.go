package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestSharedPort(t *testing.T) {
	pod := func(ports ...corev1.ContainerPort) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: ports}}}}
	}
	port := func(n int32, proto corev1.Protocol, ip string) corev1.ContainerPort {
		return corev1.ContainerPort{HostPort: n, Protocol: proto, HostIP: ip}
	}
	const tcp, udp = corev1.ProtocolTCP, corev1.ProtocolUDP
	tests := []struct {
		name string
		a, b *corev1.Pod
		want string
	}{
		{"none", pod(), pod(port(80, tcp, "")), ""},
		{"a container port is none", pod(corev1.ContainerPort{ContainerPort: 80, Protocol: tcp}), pod(port(80, tcp, "")), ""},
		{"the same", pod(port(80, tcp, "")), pod(port(81, tcp, ""), port(80, tcp, "")), "80/TCP"},
		{"no protocol is TCP", pod(port(80, "", "")), pod(port(80, tcp, "")), "80/TCP"},
		{"another protocol", pod(port(80, udp, "")), pod(port(80, tcp, "")), ""},
		{"one address", pod(port(80, udp, "10.0.0.1")), pod(port(80, udp, "10.0.0.1")), "80/UDP"},
		{"two addresses", pod(port(80, tcp, "10.0.0.1")), pod(port(80, tcp, "127.0.0.1")), ""},
		{"every address against one", pod(port(80, tcp, "")), pod(port(80, tcp, "127.0.0.1")), "80/TCP"},
		{"one address against every", pod(port(80, tcp, "127.0.0.1")), pod(port(80, tcp, "0.0.0.0")), "80/TCP"},
		{"one address against every, as IPv6 has it", pod(port(80, tcp, "127.0.0.1")), pod(port(80, tcp, "::")), "80/TCP"},
	}
	for _, tt := range tests {
		if got := SharedPort(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if got := SharedPort(tt.b, tt.a); got != tt.want {
			t.Errorf("%s, the other way: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestTaken_CountsPods: a port is free when every Pod that asked for it is gone.
func TestTaken_CountsPods(t *testing.T) {
	p := []hostPort{{number{corev1.ProtocolTCP, 80}, "127.0.0.1"}}
	tk := taken{}
	tk.add(p)
	tk.add(p)
	tk.remove(p)
	if !tk.has(p[0]) {
		t.Error("one of two pods left: the port is free, want it taken")
	}
	tk.remove(p)
	if tk.has(p[0]) || len(tk) != 0 {
		t.Errorf("both pods left: %v, want nothing", tk)
	}
}
