//go:build kernel

package network

import (
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// run binds a Pod to the node and attaches it, as its runtime would.
func (b *bed) run(i int, annotations map[string]string, ports ...corev1.ContainerPort) *testPod {
	b.t.Helper()
	p := portPod(i, ports...)
	p.Object.SetAnnotations(annotations)
	b.feed.put(p)
	name := p.Ref.Name
	return b.attachAs(string(b.feed.World().Get(manifest.PodRef("default", name)).UID), name)
}

func (b *bed) eventuallyAnswers(network, address, want string) {
	b.t.Helper()
	b.eventually(address+" answers "+want, func() bool { return b.ask(b.node, network, address) == want })
}

func TestHostPorts_FromEverywhere(t *testing.T) {
	b := newBed(t)
	both := []corev1.ContainerPort{hostPort(8081, 8080, tcpProto, ""), hostPort(8081, 8080, udpProto, "0.0.0.0")}
	one, client := b.run(1, nil, both...), b.attach(2)
	b.serve(one.ns, ":8080", "one")
	const at = nodeAddress + ":8081"
	b.eventuallyAnswers("tcp", at, "one "+nodeAddress)
	for _, network := range []string{"tcp", "udp"} {
		b.expect(b.outside, network, at, "one "+outsideAddress)
		b.expect(b.node, network, at, "one "+nodeAddress)
		b.expect(b.node, network, "127.0.0.1:8081", "one "+gateway.String())
		b.expect(client.ns, network, at, "one "+client.ip.String())
		b.expect(one.ns, network, at, "one "+gateway.String()) // hairpin
	}
	b.expect(b.outside, "tcp", nodeAddress+":8080", "refused")
	b.expect(client.ns, "tcp", gateway.String()+":8081", "timeout") // not an address of the node for pods

	b.stop() // a daemon that is away changes nothing, nor does its return
	b.expect(b.outside, "tcp", at, "one "+outsideAddress)
	b.start()
	b.expect(b.outside, "tcp", at, "one "+outsideAddress)
	b.expect(b.node, "tcp", "127.0.0.1:8081", "one "+gateway.String())

	b.detach(one)
	b.eventually("the port is closed", func() bool { return b.ask(b.outside, "tcp", at) == "refused" })
	if n := b.elements(mapHostPorts); n != 0 {
		t.Errorf("elements of %s after the pod's end: %d, want none", mapNames[mapHostPorts], n)
	}
}

func (b *bed) elements(set int) int {
	b.t.Helper()
	b.n.tableMu.Lock()
	defer b.n.tableMu.Unlock()
	list, err := b.n.table.elements(set)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(list)
}

func TestHostPorts_OneAddressOnly(t *testing.T) {
	b := newBed(t)
	local := b.run(1, nil, hostPort(8081, 8080, tcpProto, "127.0.0.1"))
	outer := b.run(2, nil, hostPort(8081, 8080, tcpProto, nodeAddress))
	b.serve(local.ns, ":8080", "local")
	b.serve(outer.ns, ":8080", "outer")
	b.eventuallyAnswers("tcp", "127.0.0.1:8081", "local "+gateway.String())
	b.eventuallyAnswers("tcp", nodeAddress+":8081", "outer "+nodeAddress)
	b.expect(b.outside, "tcp", nodeAddress+":8081", "outer "+outsideAddress)
}

// TestHostPorts_UDPFollows: a client that keeps its socket reaches the pod that has the port now.
func TestHostPorts_UDPFollows(t *testing.T) {
	b := newBed(t)
	one := b.run(1, nil, hostPort(5353, 53, udpProto, ""))
	b.serve(one.ns, ":53", "one")
	const at = nodeAddress + ":5353"
	b.eventuallyAnswers("udp", at, "one "+nodeAddress)
	c, err := b.dial(b.outside, "udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, want := say(c), "one "+outsideAddress; got != want {
		t.Fatalf("first: got %q, want %q", got, want)
	}
	b.feed.remove(manifest.PodRef("default", "pod-1"))
	b.detach(one)
	two := b.run(2, nil, hostPort(5353, 53, udpProto, ""))
	b.serve(two.ns, ":53", "two")
	b.eventually("the same socket reaches the second pod", func() bool { return say(c) == "two "+outsideAddress })
}

func TestHostPorts_PodsDoNotReachLoopback(t *testing.T) {
	b := newBed(t)
	one := b.run(1, nil, hostPort(8081, 8080, tcpProto, ""))
	b.serve(one.ns, ":8080", "one")
	b.serve(b.node, "127.0.0.1:7000", "secret")
	b.eventuallyAnswers("tcp", nodeAddress+":8081", "one "+nodeAddress)
	// A pod that may change its own network sends packets to 127.0.0.1 out of its link.
	client := b.attach(2)
	err := inNetns(client.ns, func() error {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetDown(lo)
		}
		if err != nil {
			return err
		}
		link, err := netlink.LinkByName(podLink)
		if err != nil {
			return err
		}
		if err := writeSysctl("net.ipv4.conf."+podLink+".route_localnet", "1"); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: hostNet(loopback.Addr().Next()), Gw: gateway.AsSlice(), LinkIndex: link.Attrs().Index, Flags: int(netlink.FLAG_ONLINK)})
	})
	if err != nil {
		t.Fatalf("route 127.0.0.1 out of the pod: %v", err)
	}
	for _, port := range []string{":7000", ":8081"} {
		b.expect(client.ns, "tcp", "127.0.0.1"+port, "timeout")
	}
}

func TestHostPorts_Repaired(t *testing.T) {
	for name, do := range map[string]func(b *bed, p *testPod) error{
		"element deleted": func(b *bed, _ *testPod) error {
			c := byHand(t)
			c.FlushSet(b.n.table.sets[mapHostPorts])
			return c.Flush()
		},
		"table deleted": func(b *bed, _ *testPod) error {
			c := byHand(t)
			c.DelTable(&nftables.Table{Name: b.n.names.table, Family: nftables.TableFamilyINet})
			return c.Flush()
		},
		"link deleted": func(b *bed, p *testPod) error {
			link, err := netlink.LinkByName(b.n.names.link(p.ip))
			if err != nil {
				return err
			}
			return netlink.LinkDel(link)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			one := b.run(1, nil, hostPort(8081, 8080, tcpProto, ""))
			b.serve(one.ns, ":8080", "one")
			b.eventuallyAnswers("tcp", "127.0.0.1:8081", "one "+gateway.String())
			if err := do(b, one); err != nil {
				t.Fatal(err)
			}
			b.eventuallyAnswers("tcp", "127.0.0.1:8081", "one "+gateway.String())
			b.expect(b.outside, "tcp", nodeAddress+":8081", "one "+outsideAddress)
		})
	}
}

// TestHostPorts_NodePortFirst: where a Service has the number as its node port, it is reached.
func TestHostPorts_NodePortFirst(t *testing.T) {
	b := newBed(t)
	one, two := b.run(1, nil, hostPort(30080, 8080, tcpProto, "")), b.attach(2)
	b.serve(one.ns, ":8080", "one")
	b.serve(two.ns, ":8080", "two")
	b.eventuallyAnswers("tcp", nodeAddress+":30080", "one "+nodeAddress)
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80), nodePort: 30080}.put(),
		slice("web", "web-1", tcpProto, 8080, ready(two.ip)...)))
	b.expect(b.outside, "tcp", nodeAddress+":30080", "two "+outsideAddress)
}

// TestHostPorts_OpenAtOneAddress: pods come to a port of a pod in the node's own network at the address it asks
// for, whoever else has the number at another.
func TestHostPorts_OpenAtOneAddress(t *testing.T) {
	b := newBed(t)
	client := b.attach(9)
	b.serve(b.node, nodeAddress+":9100", "outer")
	in := func(i int, ip string) state.Put {
		p := portPod(i, hostPort(9100, 9100, tcpProto, ip))
		p.Object.(*corev1.Pod).Spec.HostNetwork = true
		return p
	}
	b.settled(b.feed.put(in(1, "127.0.0.1")))
	b.expect(client.ns, "tcp", nodeAddress+":9100", "timeout")
	b.settled(b.feed.put(in(2, nodeAddress)))
	b.expect(client.ns, "tcp", nodeAddress+":9100", "outer "+client.ip.String())
	b.settled(b.feed.remove(manifest.PodRef("default", "pod-1")))
	b.expect(client.ns, "tcp", nodeAddress+":9100", "outer "+client.ip.String())
	b.settled(b.feed.remove(manifest.PodRef("default", "pod-2")))
	b.expect(client.ns, "tcp", nodeAddress+":9100", "timeout")
}
