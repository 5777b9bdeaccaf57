//go:build kernel

package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"writ/fixtures/kernel"
	"writ/state"
)

const (
	nodeAddress    = "198.51.100.1"
	outsideAddress = "198.51.100.2"
	patience       = 5 * time.Second
)

// bed is a node in a network namespace of the test's own, connected with one that is outside of the
// cluster, with a Network that runs.
type bed struct {
	t       testing.TB
	node    netns.NsHandle
	outside netns.NsHandle
	cfg     Config
	n       *Network
	feed    *fakeFeed
	stop    func()
	stopped bool
	limit   time.Duration // of what is held back, if not the usual
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{t: t, node: kernel.Netns(t)}
	dir := t.TempDir()
	b.cfg = Config{Node: self, DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run")}
	kernel.CheckClean(t, dir)
	kernel.CheckClean(t, namesOf(b.cfg).pods[2:])
	if err := writeSysctl(forwarding, "0"); err != nil { // a new namespace inherits that of the first
		t.Fatal(err)
	}
	b.outside = b.makeOutside()
	b.feed = newFeed(t)
	b.feed.put(nodePut("10.244.0.0/24"))
	b.start()
	t.Cleanup(func() {
		b.stop()
		n, err := New(b.cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			err = errors.Join(n.Down(context.Background()), n.Close())
		}
		if err != nil {
			t.Errorf("take the network down: %v", err)
		}
	})
	return b
}

// start is a daemon's start.
func (b *bed) start() {
	b.t.Helper()
	n, err := New(b.cfg, slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		b.t.Fatalf("new network: %v", err)
	}
	if b.limit > 0 {
		n.holdLimit = b.limit
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, b.feed) }()
	b.n, b.stopped = n, false
	b.stop = func() {
		cancel()
		if err := errors.Join(<-done, n.Close()); err != nil {
			b.t.Errorf("run network: %v", err)
		}
		b.stop, b.stopped = func() {}, true
	}
	select {
	case <-n.Ready():
	case <-time.After(patience):
		b.t.Fatalf("network is not ready: %s", n.Trouble())
	}
}

// makeOutside connects the node with another host.
func (b *bed) makeOutside() netns.NsHandle {
	b.t.Helper()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	out, err := netns.New()
	must(err)
	must(netns.Set(b.node))
	b.t.Cleanup(func() { out.Close() })
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Flags, attrs.MTU = "eth0", net.FlagUp, 1400
	must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(out))}))
	far, err := netlink.NewHandleAt(out, unix.NETLINK_ROUTE)
	must(err)
	defer far.Close()
	near, err := netlink.NewHandleAt(b.node, unix.NETLINK_ROUTE)
	must(err)
	defer near.Close()
	for h, ip := range map[*netlink.Handle]string{near: nodeAddress, far: outsideAddress} {
		link, err := h.LinkByName("eth0")
		must(err)
		addr, err := netlink.ParseAddr(ip + "/24")
		must(err)
		must(h.AddrAdd(link, addr))
		must(h.LinkSetUp(link))
	}
	link, err := near.LinkByName("eth0")
	must(err)
	must(near.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(outsideAddress)}))
	return out
}

// testPod is an attached pod.
type testPod struct {
	b    *bed
	uid  string
	path string
	ip   netip.Addr
	ns   netns.NsHandle
}

func (b *bed) attach(i int) *testPod {
	b.t.Helper()
	return b.attachAs(uidOf(i), fmt.Sprintf("pod-%d", i))
}

func (b *bed) attachAs(uid, name string) *testPod {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	path, ip, err := b.n.Attach(ctx, uid, "default", name)
	if err != nil {
		b.t.Fatalf("attach: %v", err)
	}
	ns, err := netns.GetFromPath(path)
	if err != nil {
		b.t.Fatalf("open namespace of pod: %v", err)
	}
	b.t.Cleanup(func() { ns.Close() })
	return &testPod{b, uid, path, ip, ns}
}

func (b *bed) detach(p *testPod) {
	b.t.Helper()
	if err := b.n.Detach(context.Background(), p.uid); err != nil {
		b.t.Fatalf("detach: %v", err)
	}
}

// settled waits until the node has routed a revision.
func (b *bed) settled(rev state.Revision) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("revision %s is routed", rev), func() bool {
		acked, _ := b.feed.acked()
		return acked >= rev
	})
}

// eventually waits for something that only the kernel can tell.
func (b *bed) eventually(what string, f func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			b.t.Fatalf("not within %s: %s (trouble: %s)", patience, what, b.n.Trouble())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// serve answers TCP and UDP on a port in a namespace: name and the client's address.
func (b *bed) serve(ns netns.NsHandle, address, name string) {
	b.t.Helper()
	var l net.Listener
	var p net.PacketConn
	err := inNetns(ns, func() (err error) {
		if l, err = net.Listen("tcp4", address); err != nil {
			return err
		}
		p, err = net.ListenPacket("udp4", address)
		return err
	})
	if err != nil {
		b.t.Fatalf("listen at %s: %v", address, err)
	}
	b.t.Cleanup(func() { l.Close(); p.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c, name)
		}
	}()
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			p.WriteTo([]byte(reply(name, from)), from)
		}
	}()
}

func reply(name string, from net.Addr) string {
	host, _, _ := net.SplitHostPort(from.String())
	return name + " " + host
}

// answer answers each line until the client hangs up.
func answer(c net.Conn, name string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		if _, err := r.ReadString('\n'); err != nil {
			return
		}
		if _, err := fmt.Fprintln(c, reply(name, c.RemoteAddr())); err != nil {
			return
		}
	}
}

// dial connects from a namespace.
func (b *bed) dial(ns netns.NsHandle, network, address string) (net.Conn, error) {
	var c net.Conn
	err := inNetns(ns, func() (err error) {
		d := net.Dialer{Timeout: 700 * time.Millisecond}
		c, err = d.Dial(network+"4", address)
		return err
	})
	return c, err
}

// ask connects from a namespace and tells the answer: "server client", or what went wrong.
func (b *bed) ask(ns netns.NsHandle, network, address string) string {
	c, err := b.dial(ns, network, address)
	if err != nil {
		return wrong(err)
	}
	defer c.Close()
	return say(c)
}

func say(c net.Conn) string {
	c.SetDeadline(time.Now().Add(700 * time.Millisecond))
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		return wrong(err)
	}
	buf := make([]byte, 200)
	n, err := c.Read(buf)
	if err != nil {
		return wrong(err)
	}
	if n > 0 && buf[n-1] == '\n' {
		n--
	}
	return string(buf[:n])
}

func wrong(err error) string {
	var slow net.Error
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return "refused"
	case errors.As(err, &slow) && slow.Timeout():
		return "timeout"
	}
	return err.Error()
}

func (b *bed) expect(ns netns.NsHandle, network, address, want string) {
	b.t.Helper()
	if got := b.ask(ns, network, address); got != want {
		b.t.Errorf("ask %s %s: got %q, want %q", network, address, got, want)
	}
}

// readable says whether a datagram arrives soon.
func readable(c net.PacketConn) bool {
	c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, _, err := c.ReadFrom(make([]byte, 10))
	return err == nil
}

func (b *bed) view() state.View { return state.Share(b.feed.World(), self) }
