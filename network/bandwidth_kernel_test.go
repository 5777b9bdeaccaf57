//go:build kernel

package network

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"writ/manifest"
)

const mebibyte = 1 << 20

// transfer sends a MiB over a new connection, from the client to the server or back, and tells how
// long it took to arrive.
func (b *bed) transfer(server, client *testPod, up bool) time.Duration {
	b.t.Helper()
	var l net.Listener
	if err := inNetns(server.ns, func() (err error) { l, err = net.Listen("tcp4", ":0"); return err }); err != nil {
		b.t.Fatal(err)
	}
	defer l.Close()
	type result struct {
		took time.Duration
		err  error
	}
	done := make(chan result, 2)
	began := time.Now()
	work := func(c net.Conn, sends bool) {
		if sends {
			_, err := c.Write(make([]byte, mebibyte))
			done <- result{0, errors.Join(err, c.(*net.TCPConn).CloseWrite())}
			return
		}
		n, err := io.Copy(io.Discard, c)
		if err == nil && n != mebibyte {
			err = io.ErrUnexpectedEOF
		}
		done <- result{time.Since(began), err}
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- result{0, err}
			return
		}
		defer c.Close()
		work(c, !up)
	}()
	c, err := b.dial(client.ns, "tcp", net.JoinHostPort(server.ip.String(), port(l)))
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	go work(c, up)
	var took time.Duration
	for range 2 {
		r := <-done
		if r.err != nil {
			b.t.Fatal(r.err)
		}
		took = max(took, r.took)
	}
	return took
}

func port(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// slowly fails if a MiB went faster than 4 Mbit/s allow, by far.
func (b *bed) slowly(what string, took time.Duration) {
	b.t.Helper()
	b.t.Logf("%s: 1 MiB in %s", what, took)
	if took < time.Second {
		b.t.Errorf("%s: 1 MiB in %s at 4 Mbit/s, want at least 1 s", what, took)
	}
}

func (b *bed) quickly(what string, took time.Duration) {
	b.t.Helper()
	if took > time.Second {
		b.t.Errorf("%s: 1 MiB in %s without a limit, want less than 1 s", what, took)
	}
}

func TestBandwidth_HoldsAndGoes(t *testing.T) {
	b := newBed(t)
	slow := b.run(1, map[string]string{ingressAnnotation: "4M", egressAnnotation: "4M"})
	free := b.run(2, nil)
	b.slowly("to the pod", b.transfer(slow, free, true))
	b.slowly("from the pod", b.transfer(slow, free, false))
	other := b.attach(3)
	b.quickly("between others", b.transfer(other, free, true))

	b.stop()
	b.start() // a new daemon finds what it needs in the kernel
	b.slowly("from the pod, after a restart", b.transfer(slow, free, false))

	b.detach(slow)
	if _, err := netlink.LinkByName(b.n.names.outLink(slow.ip)); !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("link that slowed the pod: %v, want none", err)
	}
}

func TestBandwidth_RepairedAndChanged(t *testing.T) {
	b := newBed(t)
	p := b.run(1, map[string]string{ingressAnnotation: "4M", egressAnnotation: "8M"})
	fits := func(in, out uint64) func() bool {
		return func() bool {
			side, err := readHostSide(b.n.host)
			return err == nil && b.n.fits(side, p.ip, traits{in: in, out: out})
		}
	}
	const four, eight = 4e6 / 8, 8e6 / 8
	b.eventually("the link is held to its bandwidth", fits(four, eight))
	for what, do := range map[string]func() error{
		"queue deleted": func() error {
			link, err := netlink.LinkByName(b.n.names.link(p.ip))
			if err != nil {
				return err
			}
			return netlink.QdiscDel(bucket(link.Attrs().Index, four))
		},
		"redirection deleted": func() error {
			link, err := netlink.LinkByName(b.n.names.link(p.ip))
			if err != nil {
				return err
			}
			return netlink.QdiscDel(ingress(link))
		},
		"second link deleted": func() error {
			link, err := netlink.LinkByName(b.n.names.outLink(p.ip))
			if err != nil {
				return err
			}
			return netlink.LinkDel(link)
		},
	} {
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		b.eventually(what+": repaired", fits(four, eight))
	}
	for _, tt := range []struct {
		in, out   string
		rate, far uint64
	}{{"8M", "4M", eight, four}, {"", "4M", 0, four}, {"", "", 0, 0}, {"1P", "1k", 1e15 / 8, 1e3 / 8}} {
		put := portPod(1)
		put.Object.SetAnnotations(map[string]string{ingressAnnotation: tt.in, egressAnnotation: tt.out})
		put.UID = b.feed.World().Get(manifest.PodRef("default", "pod-1")).UID
		b.feed.put(put)
		b.eventually("bandwidths "+tt.in+" and "+tt.out, fits(tt.rate, tt.far))
	}
}

// TestBandwidth_MisfitKeepsTheLink: a bandwidth that the node cannot hold a running pod to is a trouble, and costs
// the pod no connection.
func TestBandwidth_MisfitKeepsTheLink(t *testing.T) {
	b := newBed(t)
	p, other := b.run(1, nil), b.attach(2)
	b.serve(p.ns, ":8080", "one")
	before, err := netlink.LinkByName(b.n.names.link(p.ip))
	if err != nil {
		t.Fatal(err)
	}
	// What has the name of the second link cannot be removed.
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkAddAltName(lo, b.n.names.outLink(p.ip))
	}
	if err != nil {
		t.Fatal(err)
	}
	put := portPod(1)
	put.Object.SetAnnotations(map[string]string{egressAnnotation: "4M"})
	put.UID = b.feed.World().Get(manifest.PodRef("default", "pod-1")).UID
	b.feed.put(put)
	b.eventually("the trouble is told", func() bool { return strings.Contains(b.n.Trouble(), "hold pod to its bandwidth") })
	// What changes meanwhile has nothing to do with it, and hides nothing.
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put()))
	if got := b.n.Trouble(); !strings.Contains(got, "hold pod to its bandwidth") {
		t.Errorf("trouble after a change of something else: %q", got)
	}
	if after, err := netlink.LinkByName(b.n.names.link(p.ip)); err != nil || after.Attrs().Index != before.Attrs().Index {
		t.Errorf("the pod's link was made again: %v, %v", after, err)
	}
	b.expect(other.ns, "tcp", p.ip.String()+":8080", "one "+other.ip.String())
	if err := netlink.LinkDelAltName(lo, b.n.names.outLink(p.ip)); err != nil {
		t.Fatal(err)
	}
	b.eventually("the link is held once it can be", func() bool {
		side, err := readHostSide(b.n.host)
		return err == nil && b.n.fits(side, p.ip, traits{out: 4e6 / 8})
	})
}
