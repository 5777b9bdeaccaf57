//go:build kernel

package network

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// goal is how soon what differs is to be repaired.
const goal = 5 * time.Second

// broken is a bed with a service that answers, which do then breaks.
func broken(t *testing.T, do func(b *bed, one *testPod) error) {
	t.Helper()
	b := newBed(t)
	one, client := b.attach(1), b.attach(2)
	b.serve(one.ns, ":8080", "one")
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80), nodePort: 30080}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip)...)))
	want := "one " + client.ip.String()
	b.expect(client.ns, "tcp", vip+":80", want)
	held, err := b.dial(client.ns, "tcp", vip+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if got := say(held); got != want {
		t.Fatalf("connection: got %q, want %q", got, want)
	}
	began := time.Now()
	if err := do(b, one); err != nil {
		t.Fatalf("break: %v", err)
	}
	b.eventually("the service answers again", func() bool { return b.ask(client.ns, "tcp", vip+":80") == want })
	if took := time.Since(began); took > goal {
		t.Errorf("repaired after %s, want at most %s", took, goal)
	} else {
		t.Logf("repaired after %s", took)
	}
	b.eventually("the connection goes on", func() bool { return say(held) == want })
	b.expect(b.outside, "tcp", nodeAddress+":30080", "one "+outsideAddress)
}

func byHand(t *testing.T) *nftables.Conn {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRepair_LinkDeleted(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		link, err := netlink.LinkByName(b.n.names.link(one.ip))
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
}

func TestRepair_LinkDown(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		link, err := netlink.LinkByName(b.n.names.link(one.ip))
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	})
}

func TestRepair_RouteDeleted(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		return netlink.RouteDel(&netlink.Route{Dst: hostNet(one.ip)})
	})
}

func TestRepair_TableDeleted(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		c := byHand(t)
		c.DelTable(b.n.table.table)
		return c.Flush()
	})
}

func TestRepair_TableFlushed(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		c := byHand(t)
		c.FlushTable(b.n.table.table)
		return c.Flush()
	})
}

func TestRepair_RulesetFlushed(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		c := byHand(t)
		c.FlushRuleset()
		return c.Flush()
	})
}

func TestRepair_ElementsDeleted(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		c := byHand(t)
		for _, s := range b.n.table.sets {
			c.FlushSet(s)
		}
		return c.Flush()
	})
}

func TestRepair_RuleDeleted(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		c := byHand(t)
		c.FlushChain(&nftables.Chain{Table: b.n.table.table, Name: "nat-prerouting"})
		return c.Flush()
	})
}

func TestRepair_ForwardingOff(t *testing.T) {
	broken(t, func(b *bed, one *testPod) error {
		return writeSysctl(forwarding, "0")
	})
}

func TestRepair_DNSLinkDeleted(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	link, err := netlink.LinkByName(b.n.names.dns)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	dns := b.n.DNSAddress().String()
	b.eventually("the DNS address is back", func() bool {
		list, err := netlink.AddrList(nil, netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			if a.IP.String() == dns {
				return true
			}
		}
		return false
	})
	b.serve(b.node, dns+":53", "dns")
	b.expect(p.ns, "udp", dns+":53", "dns "+p.ip.String())
}

func TestRepair_DropsWhatNobodyHas(t *testing.T) {
	b := newBed(t)
	lost, kept := b.attach(1), b.attach(2)
	b.stop()
	if err := os.WriteFile(b.n.pool.path(lost.ip), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.eventually("link and namespace of a torn record are gone", func() bool {
		_, err := netlink.LinkByName(b.n.names.link(lost.ip))
		return err != nil && !isNetns(lost.path)
	})
	if again := b.attach(2); again.ip != kept.ip {
		t.Errorf("other pod: got %s, want %s as before", again.ip, kept.ip)
	}
}

func TestRestart_EndsUDPOfEndpointsThatLeftMeanwhile(t *testing.T) {
	b := newBed(t)
	one, two, client := b.attach(1), b.attach(2), b.attach(3)
	b.serve(one.ns, ":8080", "one")
	b.serve(two.ns, ":8080", "two")
	b.settled(b.feed.put(service{name: "dgram", ip: vip, ports: udp(80)}.put(),
		slice("dgram", "a", corev1.ProtocolUDP, 8080, ready(one.ip)...)))
	flow, err := b.dial(client.ns, "udp", vip+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer flow.Close()
	if got, want := say(flow), "one "+client.ip.String(); got != want {
		t.Fatalf("flow: got %q, want %q", got, want)
	}
	b.stop()
	rev := b.feed.put(slice("dgram", "a", corev1.ProtocolUDP, 8080, ready(two.ip)...))
	b.start()
	b.settled(rev)
	if got, want := say(flow), "two "+client.ip.String(); got != want {
		t.Errorf("flow after a restart: got %q, want %q", got, want)
	}
}

func TestRestart_WritesNothing(t *testing.T) {
	b := newBed(t)
	one := b.attach(1)
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80), nodePort: 30080, sticky: 100}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip)...)))
	b.stop()
	n, err := New(b.cfg, b.n.log)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	rs, err := Compile(b.view(), nil)
	if err != nil {
		t.Fatal(err)
	}
	wrote, err := n.table.set(rs)
	if err != nil || wrote {
		t.Errorf("set what the kernel holds: wrote %v, %v, want nothing", wrote, err)
	}
}

// TestRepair_HalfMade: a daemon that was killed between making a pod's link and setting up the pod's
// end leaves one that only looks whole from the node.
func TestRepair_HalfMade(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	b.serve(p.ns, ":8080", "one")
	b.stop()
	h, err := netlink.NewHandleAt(b.node, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	name := b.n.names.link(p.ip)
	if err := dropLink(h, name); err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Flags = name, net.FlagUp
	if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: podLink, PeerNamespace: netlink.NsFd(int(p.ns))}); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.eventually("the pod answers", func() bool { return b.ask(b.node, "tcp", p.ip.String()+":8080") == "one "+nodeAddress })
}
