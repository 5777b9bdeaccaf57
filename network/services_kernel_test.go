//go:build kernel

package network

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestServices_ClusterIP(t *testing.T) {
	b := newBed(t)
	one, two, client := b.attach(1), b.attach(2), b.attach(3)
	b.serve(one.ns, ":8080", "one")
	b.serve(two.ns, ":8080", "two")
	b.settled(b.feed.put(
		service{name: "web", ip: "10.96.0.50", ports: tcp(80)}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip, two.ip)...),
	))
	seen := map[string]int{}
	for range 40 {
		seen[b.ask(client.ns, "tcp", "10.96.0.50:80")]++
	}
	want := []string{"one " + client.ip.String(), "two " + client.ip.String()}
	for _, w := range want {
		if seen[w] == 0 {
			t.Errorf("answers %v: want both of %q", seen, want)
		}
	}
	if len(seen) != 2 {
		t.Errorf("answers %v: want only %q", seen, want)
	}
}
