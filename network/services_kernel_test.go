//go:build kernel

package network

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

const vip = "10.96.0.50"

// answers asks several times and tells every different answer, sorted.
func (b *bed) answers(p *testPod, network, address string, times int) []string {
	b.t.Helper()
	seen := map[string]bool{}
	for range times {
		seen[b.ask(p.ns, network, address)] = true
	}
	var out []string
	for a := range seen {
		out = append(out, a)
	}
	slices.Sort(out)
	return out
}

func (b *bed) expectAnswers(p *testPod, network, address string, times int, want ...string) {
	b.t.Helper()
	if got := b.answers(p, network, address, times); !slices.Equal(got, want) {
		b.t.Errorf("ask %s %s %d times: got %q, want %q", network, address, times, got, want)
	}
}

func TestServices_ClusterIP(t *testing.T) {
	b := newBed(t)
	one, two, client := b.attach(1), b.attach(2), b.attach(3)
	b.serve(one.ns, ":8080", "one")
	b.serve(two.ns, ":8080", "two")
	b.settled(b.feed.put(
		service{name: "web", ip: vip, ports: tcp(80)}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip, two.ip)...),
		service{name: "dgram", ip: "10.96.0.51", ports: udp(80)}.put(),
		slice("dgram", "dgram-1", corev1.ProtocolUDP, 8080, ready(one.ip, two.ip)...),
	))
	from := client.ip.String()
	b.expectAnswers(client, "tcp", vip+":80", 40, "one "+from, "two "+from)
	b.expectAnswers(client, "udp", "10.96.0.51:80", 40, "one "+from, "two "+from)
	for range 10 {
		if got := b.ask(b.node, "tcp", vip+":80"); got != "one "+nodeAddress && got != "two "+nodeAddress {
			t.Errorf("ask from the node: got %q, want an answer to %s", got, nodeAddress)
		}
	}
	b.expect(client.ns, "tcp", vip+":81", "refused")
	b.expect(client.ns, "udp", vip+":80", "refused")
	b.expect(client.ns, "tcp", "10.96.7.7:80", "refused")
	b.expect(b.node, "tcp", "10.96.7.7:80", "refused")

	b.settled(b.feed.put(slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(two.ip)...)))
	b.expectAnswers(client, "tcp", vip+":80", 20, "two "+from)
	b.settled(b.feed.remove(manifest.ServiceRef("default", "web")))
	b.expect(client.ns, "tcp", vip+":80", "refused")
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put()))
	b.expectAnswers(client, "tcp", vip+":80", 20, "two "+from)
}

func TestServices_NodePort(t *testing.T) {
	b := newBed(t)
	one, client := b.attach(1), b.attach(2)
	b.serve(one.ns, ":8080", "one")
	b.settled(b.feed.put(
		service{name: "web", ip: vip, ports: tcp(80), nodePort: 30080}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip)...),
		service{name: "dgram", ip: "10.96.0.51", ports: udp(80), nodePort: 30080}.put(),
		slice("dgram", "dgram-1", corev1.ProtocolUDP, 8080, ready(one.ip)...),
		service{name: "none", ip: "10.96.0.52", ports: tcp(80), nodePort: 30081}.put(),
	))
	b.expect(b.outside, "tcp", nodeAddress+":30080", "one "+outsideAddress)
	b.expect(b.outside, "udp", nodeAddress+":30080", "one "+outsideAddress)
	b.expect(b.node, "tcp", nodeAddress+":30080", "one "+nodeAddress)
	b.expect(client.ns, "tcp", nodeAddress+":30080", "one "+client.ip.String())
	b.expect(one.ns, "tcp", nodeAddress+":30080", "one "+gateway.String())
	b.expect(b.node, "tcp", "127.0.0.1:30080", "refused")
	for _, ns := range []struct {
		name string
		want string
		got  string
	}{
		{"outside", "refused", b.ask(b.outside, "tcp", nodeAddress+":30081")},
		{"pod", "refused", b.ask(client.ns, "tcp", nodeAddress+":30081")},
		{"node", "refused", b.ask(b.node, "tcp", nodeAddress+":30081")},
	} {
		if ns.got != ns.want {
			t.Errorf("node port without endpoints from %s: got %q, want %q", ns.name, ns.got, ns.want)
		}
	}
}

func TestServices_LocalTrafficPolicy(t *testing.T) {
	b := newBed(t)
	here, client := b.attach(1), b.attach(2)
	b.serve(here.ns, ":8080", "here")
	endpoints := []endpoint{{ip: here.ip.String(), node: string(self)}, {ip: "10.244.9.9", node: "node-2"}}
	local := corev1.ServiceInternalTrafficPolicyLocal
	b.settled(b.feed.put(
		service{name: "web", ip: vip, ports: tcp(80), nodePort: 30080, change: func(s *corev1.ServiceSpec) {
			s.InternalTrafficPolicy, s.ExternalTrafficPolicy = &local, corev1.ServiceExternalTrafficPolicyLocal
		}}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, endpoints...),
	))
	b.expectAnswers(client, "tcp", vip+":80", 20, "here "+client.ip.String())
	for range 10 {
		b.expect(b.outside, "tcp", nodeAddress+":30080", "here "+outsideAddress)
	}
}

func TestServices_Hairpin(t *testing.T) {
	b := newBed(t)
	one := b.attach(1)
	b.serve(one.ns, ":8080", "one")
	b.settled(b.feed.put(
		service{name: "web", ip: vip, ports: tcp(80)}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip)...),
		service{name: "dgram", ip: "10.96.0.51", ports: udp(80)}.put(),
		slice("dgram", "dgram-1", corev1.ProtocolUDP, 8080, ready(one.ip)...),
	))
	b.expect(one.ns, "tcp", vip+":80", "one "+gateway.String())
	b.expect(one.ns, "udp", "10.96.0.51:80", "one "+gateway.String())
}

func TestServices_AffinityHoldsAndExpires(t *testing.T) {
	b := newBed(t)
	one, two, three := b.attach(1), b.attach(2), b.attach(3)
	clients := []*testPod{b.attach(4), b.attach(5), b.attach(6), b.attach(7)}
	for _, p := range []*testPod{one, two, three} {
		b.serve(p.ns, ":8080", p.ip.String())
	}
	b.settled(b.feed.put(
		service{name: "web", ip: vip, ports: tcp(80), sticky: 1, nodePort: 30080}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip, two.ip, three.ip)...),
	))
	different := map[string]bool{}
	for _, c := range clients {
		got := b.answers(c, "tcp", vip+":80", 15)
		if len(got) != 1 {
			t.Errorf("client %s with affinity: got %q, want one answer", c.ip, got)
		}
		if node := b.answers(c, "tcp", nodeAddress+":30080", 15); len(node) != 1 {
			t.Errorf("client %s with affinity at the node port: got %q, want one answer", c.ip, node)
		}
		different[got[0]] = true
	}
	// After the timeout the choice is free again: eleven more choices being all equal has a chance
	// of 1 in 177,147.
	c := clients[0]
	b.eventually("the choice changes after the timeout", func() bool {
		time.Sleep(1100 * time.Millisecond)
		different[b.ask(c.ns, "tcp", vip+":80")] = true
		return len(different) > 4
	})
}

func TestServices_AffinityLeavesWhatIsGone(t *testing.T) {
	b := newBed(t)
	one, two, client := b.attach(1), b.attach(2), b.attach(3)
	b.serve(one.ns, ":8080", "one")
	b.serve(two.ns, ":8080", "two")
	from := " " + client.ip.String()
	both := slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip, two.ip)...)
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80), sticky: 600}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip)...)))
	b.expect(client.ns, "tcp", vip+":80", "one"+from)
	b.settled(b.feed.put(both))
	b.expectAnswers(client, "tcp", vip+":80", 10, "one"+from)
	b.settled(b.feed.put(slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(two.ip)...)))
	b.expectAnswers(client, "tcp", vip+":80", 10, "two"+from)
	b.settled(b.feed.put(both))
	b.expectAnswers(client, "tcp", vip+":80", 10, "two"+from)
}

func TestServices_TerminatingDrains(t *testing.T) {
	b := newBed(t)
	one, two, client := b.attach(1), b.attach(2), b.attach(3)
	b.serve(one.ns, ":8080", "one")
	b.serve(two.ns, ":8080", "two")
	from := " " + client.ip.String()
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip)...)))
	held, err := b.dial(client.ns, "tcp", vip+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if got := say(held); got != "one"+from {
		t.Fatalf("connection: got %q, want it to reach one", got)
	}
	// Nothing is ready: what terminates and serves is used (KEP-1669).
	gone := endpoint{ip: one.ip.String(), state: "terminating"}
	b.feed.put(slice("web", "web-1", corev1.ProtocolTCP, 8080, gone))
	b.expect(client.ns, "tcp", vip+":80", "one"+from)
	b.settled(b.feed.put(slice("web", "web-1", corev1.ProtocolTCP, 8080, gone, endpoint{ip: two.ip.String()})))
	b.expectAnswers(client, "tcp", vip+":80", 10, "two"+from)
	if got := say(held); got != "one"+from {
		t.Errorf("established connection to what terminates: got %q, want it to go on", got)
	}
}

func TestServices_StaleUDP(t *testing.T) {
	b := newBed(t)
	one, two, client := b.attach(1), b.attach(2), b.attach(3)
	b.serve(one.ns, ":8080", "one")
	b.serve(two.ns, ":8080", "two")
	from := " " + client.ip.String()
	b.settled(b.feed.put(service{name: "dgram", ip: vip, ports: udp(80), nodePort: 30080}.put(),
		slice("dgram", "dgram-1", corev1.ProtocolUDP, 8080, ready(one.ip)...)))
	flow, err := b.dial(client.ns, "udp", vip+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer flow.Close()
	port, err := b.dial(b.outside, "udp", nodeAddress+":30080")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	for range 3 {
		if got := say(flow); got != "one"+from {
			t.Fatalf("flow: got %q, want one", got)
		}
		if got := say(port); got != "one "+outsideAddress {
			t.Fatalf("flow from outside: got %q, want one", got)
		}
	}
	b.settled(b.feed.put(slice("dgram", "dgram-1", corev1.ProtocolUDP, 8080, ready(two.ip)...)))
	if got := say(flow); got != "two"+from {
		t.Errorf("same flow after its endpoint left: got %q, want two", got)
	}
	if got := say(port); got != "two "+outsideAddress {
		t.Errorf("same flow from outside after its endpoint left: got %q, want two", got)
	}
}

func TestServices_NewUDPNodePortTakesKnownFlow(t *testing.T) {
	b := newBed(t)
	one := b.attach(1)
	b.serve(one.ns, ":8080", "one")
	flow, err := b.dial(b.outside, "udp", nodeAddress+":30080")
	if err != nil {
		t.Fatal(err)
	}
	defer flow.Close()
	if got := say(flow); got != "refused" {
		t.Fatalf("flow to a port that nobody has: got %q, want refused", got)
	}
	b.settled(b.feed.put(service{name: "dgram", ip: vip, ports: udp(80), nodePort: 30080}.put(),
		slice("dgram", "dgram-1", corev1.ProtocolUDP, 8080, ready(one.ip)...)))
	if got := say(flow); got != "one "+outsideAddress {
		t.Errorf("same flow once the port is open: got %q, want one", got)
	}
}

// TestServices_OnTheNode: a Service that leads to the node itself, which pods reach by no other way.
func TestServices_OnTheNode(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	b.serve(b.node, nodeAddress+":6443", "api")
	b.settled(b.feed.put(
		service{name: "own", ip: vip, ports: tcp(443)}.put(),
		slice("own", "own", corev1.ProtocolTCP, 6443, endpoint{ip: nodeAddress}),
	))
	b.expect(p.ns, "tcp", vip+":443", "api "+p.ip.String())
	b.expect(b.node, "tcp", vip+":443", "api "+nodeAddress)
	b.expect(p.ns, "udp", nodeAddress+":6443", "timeout")
}

// TestServices_API: default/kubernetes is answered by the node itself, to its own pods only and at no other port.
func TestServices_API(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	b.serve(b.node, "10.96.0.1:443", "api")
	b.serve(b.node, "10.96.0.1:444", "other")
	b.expect(p.ns, "tcp", "10.96.0.1:443", "api "+p.ip.String())
	b.expect(b.node, "tcp", "10.96.0.1:443", "api 10.96.0.1")
	b.expect(p.ns, "tcp", "10.96.0.1:444", "timeout")
	route(t, b, "10.96.0.1")
	b.expect(b.outside, "tcp", "10.96.0.1:443", "timeout")
}

func TestServices_OutsideTheCluster(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	b.serve(b.outside, ":5432", "database")
	b.settled(b.feed.put(
		service{name: "db", ip: vip, ports: tcp(5432), nodePort: 30432}.put(),
		slice("db", "db", corev1.ProtocolTCP, 5432, endpoint{ip: outsideAddress}),
	))
	b.expect(p.ns, "tcp", vip+":5432", "database "+nodeAddress)
	b.expect(b.node, "tcp", vip+":5432", "database "+nodeAddress)
	b.expect(b.outside, "tcp", nodeAddress+":30432", "database "+nodeAddress)
}
