//go:build kernel

package network

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestAttach_Traffic(t *testing.T) {
	b := newBed(t)
	one, two := b.attach(1), b.attach(2)
	b.serve(one.ns, ":80", "one")
	b.serve(b.outside, ":80", "outside")
	b.expect(two.ns, "tcp", one.ip.String()+":80", "one "+two.ip.String())
	b.expect(two.ns, "udp", one.ip.String()+":80", "one "+two.ip.String())
	b.expect(b.node, "tcp", one.ip.String()+":80", "one "+nodeAddress)
	b.expect(two.ns, "tcp", outsideAddress+":80", "outside "+nodeAddress)
	b.expect(one.ns, "tcp", "127.0.0.1:80", "one 127.0.0.1")
}

func TestAttach_NamespaceOfPod(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	h, err := netlink.NewHandleAt(p.ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	eth, err := h.LinkByName("eth0")
	if err != nil || eth.Attrs().MTU != 1400 {
		t.Errorf("eth0 of pod: %v, %v, want the MTU 1400 of the node", eth, err)
	}
	for key, want := range map[string]string{
		"net.ipv4.ip_unprivileged_port_start": "0",
		"net.ipv4.ping_group_range":           "0\t2147483647",
	} {
		var got string
		if err := inNetns(p.ns, func() (err error) { got, err = readSysctl(key); return err }); err != nil || got != want {
			t.Errorf("%s in pod: got %q, %v, want %q", key, got, err, want)
		}
	}
	info, err := os.Stat(b.n.netnsDir())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory of namespaces: %v, %v, want mode 0700", info, err)
	}
}

func TestAttach_AgainIsTheSame(t *testing.T) {
	b := newBed(t)
	first := b.attach(1)
	b.serve(first.ns, ":80", "one")
	client := b.attach(2)
	held, err := b.dial(client.ns, "tcp", first.ip.String()+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	again := b.attach(1)
	b.stop()
	b.start()
	restarted := b.attach(1)
	for _, p := range []*testPod{again, restarted} {
		if p.ip != first.ip || p.path != first.path {
			t.Errorf("attached again: got %s %s, want %s %s", p.path, p.ip, first.path, first.ip)
		}
	}
	if got, want := say(held), "one "+client.ip.String(); got != want {
		t.Errorf("connection over a restart: got %q, want %q", got, want)
	}
}

// TestAttach_AfterCrash begins with what a daemon that was killed may leave behind.
func TestAttach_AfterCrash(t *testing.T) {
	for name, leave := range map[string]func(*bed, *testPod) error{
		"address only": func(b *bed, p *testPod) error {
			if err := dropNetns(p.path); err != nil {
				return err
			}
			return b.n.unplug(p.ip)
		},
		"empty file of the namespace": func(b *bed, p *testPod) error {
			if err := dropNetns(p.path); err != nil {
				return err
			}
			return os.WriteFile(p.path, nil, 0o600)
		},
		"no link":          func(b *bed, p *testPod) error { return b.n.unplug(p.ip) },
		"link of a former": func(b *bed, p *testPod) error { return dropNetns(p.path) },
		"no route": func(b *bed, p *testPod) error {
			link, err := b.n.host.LinkByName(b.n.names.link(p.ip))
			if err != nil {
				return err
			}
			return b.n.host.RouteDel(b.n.podRoute(link.Attrs().Index, p.ip))
		},
		"detached by half": func(b *bed, p *testPod) error {
			if err := b.n.unplug(p.ip); err != nil {
				return err
			}
			return unix.Unmount(p.path, unix.MNT_DETACH)
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			b := newBed(t)
			p, client := b.attach(1), b.attach(2)
			b.stop() // so that nothing repairs
			n, err := New(b.cfg, b.n.log)
			if err != nil {
				t.Fatal(err)
			}
			b.n = n
			if err := leave(b, p); err != nil {
				t.Fatalf("leave half a pod: %v", err)
			}
			n.Close()
			b.start()
			again := b.attach(1)
			if again.ip != p.ip {
				t.Errorf("address after crash: got %s, want %s", again.ip, p.ip)
			}
			b.serve(again.ns, ":80", "one")
			b.expect(client.ns, "tcp", again.ip.String()+":80", "one "+client.ip.String())
			b.detach(again)
			b.detach(again)
		})
	}
}

func TestDetach_AddressRests(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	b.detach(p)
	if _, err := os.Stat(p.path); !os.IsNotExist(err) {
		t.Errorf("file of namespace after detach: %v, want none", err)
	}
	b.stop()
	b.start()
	if next := b.attach(2); next.ip == p.ip {
		t.Errorf("address %s is used again at once", p.ip)
	}
	if got := b.n.pool.leases(); len(got) != 1 || got[0].UID != uidOf(2) {
		t.Errorf("attached: got %v, want only %s", got, uidOf(2))
	}
}

func TestPod_OnlyItsOwnAddress(t *testing.T) {
	b := newBed(t)
	victim, liar := b.attach(1), b.attach(2)
	b.serve(victim.ns, ":80", "victim")
	h, err := netlink.NewHandleAt(liar.ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	eth, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, forged := range []string{"10.244.0.77", outsideAddress, "10.96.0.10"} {
		addr := &netlink.Addr{IPNet: hostNet(netip.MustParseAddr(forged))}
		if err := h.AddrAdd(eth, addr); err != nil {
			t.Fatal(err)
		}
		if got := b.receives(victim, liar, forged); got {
			t.Errorf("a packet from %s arrived, want it dropped", forged)
		}
	}
	if !b.receives(victim, liar, liar.ip.String()) {
		t.Error("a packet from the pod's own address did not arrive")
	}
}

// receives sends a datagram from a pod with a source address and says whether it arrives.
func (b *bed) receives(to, from *testPod, source string) bool {
	b.t.Helper()
	var in net.PacketConn
	err := inNetns(to.ns, func() (err error) { in, err = net.ListenPacket("udp4", ":9000"); return err })
	if err != nil {
		b.t.Fatal(err)
	}
	defer in.Close()
	err = inNetns(from.ns, func() error {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
		c, err := d.Dial("udp4", to.ip.String()+":9000")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	})
	if err != nil {
		b.t.Fatalf("send from %s: %v", source, err)
	}
	return readable(in)
}

func TestPod_ReachesOnlyDNSOnTheNode(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	dns := b.n.DNSAddress().String()
	if dns != "10.96.0.10" {
		t.Fatalf("DNS address: got %s, want 10.96.0.10", dns)
	}
	b.serve(b.node, dns+":53", "dns")
	b.serve(b.node, nodeAddress+":9100", "exporter")
	b.serve(b.node, gateway.String()+":9100", "gateway")
	b.serve(b.node, dns+":9100", "other")
	b.expect(p.ns, "udp", dns+":53", "dns "+p.ip.String())
	b.expect(p.ns, "tcp", dns+":53", "dns "+p.ip.String())
	b.expect(b.node, "udp", dns+":53", "dns "+dns)
	for _, closed := range []string{nodeAddress, gateway.String(), dns} {
		b.expect(p.ns, "udp", closed+":9100", "timeout")
	}
	route(t, b, dns)
	b.expect(b.outside, "udp", dns+":53", "timeout")
	flows, err := b.n.ct.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if f.Forward.DstPort == 53 && f.Forward.SrcIP.String() == p.ip.String() {
			t.Errorf("a DNS query is tracked: %s", f)
		}
	}
}

// route leads an address from outside to the node.
func route(t *testing.T, b *bed, address string) {
	t.Helper()
	h, err := netlink.NewHandleAt(b.outside, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.RouteAdd(&netlink.Route{Dst: hostNet(netip.MustParseAddr(address)), Gw: net.ParseIP(nodeAddress)}); err != nil {
		t.Fatal(err)
	}
}

func TestPod_NoCloudMetadata(t *testing.T) {
	b := newBed(t)
	p := b.attach(1)
	h, err := netlink.NewHandleAt(b.outside, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	link, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.AddrAdd(link, &netlink.Addr{IPNet: hostNet(metadata)}); err != nil {
		t.Fatal(err)
	}
	b.serve(b.outside, metadata.String()+":80", "secrets")
	b.expect(b.node, "udp", metadata.String()+":80", "secrets "+nodeAddress)
	b.expect(p.ns, "udp", metadata.String()+":80", "timeout")
}

func TestDown_LeavesNothing(t *testing.T) {
	b := newBed(t)
	b.attach(1)
	b.stop()
	n, err := New(b.cfg, b.n.log)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.Down(context.Background()); err != nil {
			t.Errorf("down: %v", err)
		}
	}
	if got, err := readSysctl(forwarding); err != nil || got != "0" {
		t.Errorf("%s after down: got %q, %v, want 0 as before", forwarding, got, err)
	}
	if _, err := os.Stat(n.dir()); !os.IsNotExist(err) {
		t.Errorf("data after down: %v, want none", err)
	}
	links, err := n.host.LinkList()
	if err != nil || len(links) != 2 {
		t.Errorf("links after down: %v, %v, want lo and eth0", links, err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
