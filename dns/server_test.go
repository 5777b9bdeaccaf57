package dns

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"

	"writ/state"
)

// still is a Feed that is moved by hand.
type still struct{ world *state.World }

func (s still) World() *state.World { return s.world }
func (s still) Since(state.Revision) ([]state.Change, *state.World, bool) {
	return nil, s.world, true
}
func (s still) Changed(state.Revision) <-chan struct{} { return nil }

// serve runs a server on a free loopback port and returns its address.
func serve(t testing.TB, cfg Config, w *state.World) string {
	t.Helper()
	cfg.Node, cfg.Listen = "n1", netip.MustParseAddrPort("127.0.0.1:0")
	s, err := New(cfg, still{w}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l, err := s.open(ctx, cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); l.close() })
	return l.at.String()
}

// resolver is an upstream that answers every A question with one address and counts.
func resolver(t *testing.T, asked *atomic.Int32) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		asked.Add(1)
		r := new(dns.Msg)
		r.SetReply(m)
		switch {
		case strings.HasPrefix(m.Question[0].Name, "no."):
			r.Rcode = dns.RcodeNameError
			r.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "org.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "a.", Mbox: "b.", Minttl: 60}}
		default:
			r.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 7)}}
		}
		if err := w.WriteMsg(r); err != nil {
			t.Error(err)
		}
	})
	server := &dns.Server{PacketConn: pc, Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	t.Cleanup(func() { pc.Close(); <-done })
	return pc.LocalAddr().String()
}

func ask(t testing.TB, network, server, name string, qtype uint16, change ...func(*dns.Msg)) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	for _, f := range change {
		f(m)
	}
	c := dns.Client{Net: network, Timeout: 5 * time.Second}
	r, _, err := c.Exchange(m, server)
	if err != nil {
		t.Fatalf("ask %s over %s: %v", name, network, err)
	}
	return r
}

func TestServer_UDPAndTCP(t *testing.T) {
	server := serve(t, Config{Resolvers: func() []string { return nil }}, newCluster(t).world)
	for _, network := range []string{"udp", "tcp"} {
		for range 3 { // the first is made, the others are packed already
			r := ask(t, network, server, "wEb.shOp.svc.cluster.local.", dns.TypeA)
			if len(r.Answer) != 1 || r.Answer[0].String() != "wEb.shOp.svc.cluster.local.\t5\tIN\tA\t10.96.0.20" || !r.Authoritative || !r.RecursionDesired {
				t.Errorf("%s: %v", network, r)
			}
		}
		r := ask(t, network, server, "nosuch.shop.svc.cluster.local.", dns.TypeA)
		if r.Rcode != dns.RcodeNameError || len(r.Ns) != 1 {
			t.Errorf("%s: %v, want NXDOMAIN with a SOA", network, r)
		}
		r = ask(t, network, server, "web.shop.svc.cluster.local.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, false) })
		if r.IsEdns0() == nil || len(r.Answer) != 1 {
			t.Errorf("%s: %v, want an OPT record", network, r)
		}
		r = ask(t, network, server, "cluster.local.", dns.TypeAXFR)
		if r.Rcode != dns.RcodeRefused {
			t.Errorf("%s: zone transfer: %v, want REFUSED", network, r)
		}
	}
}

func TestServer_TruncatesAndRotates(t *testing.T) {
	c := newCluster(t)
	p := slice("shop", "db")
	for i := range 100 {
		add(&p, endpointAt(fmt.Sprintf("10.244.1.%d", i), "", true))
	}
	c.apply(state.Batch{Puts: []state.Put{p}})
	server := serve(t, Config{Resolvers: func() []string { return nil }}, c.world)
	const name = "db.shop.svc.cluster.local."
	for range 2 {
		if r := ask(t, "udp", server, name, dns.TypeA); !r.Truncated {
			t.Errorf("100 addresses fit into 512 bytes: %v", r)
		}
	}
	first := map[string]bool{}
	for range 40 {
		r := ask(t, "tcp", server, name, dns.TypeA)
		if len(r.Answer) != 100 {
			t.Fatalf("%d addresses over tcp, want 100", len(r.Answer))
		}
	}
	c.apply(state.Batch{Puts: []state.Put{slice("shop", "db", endpointAt("10.244.0.1", "", true), endpointAt("10.244.0.2", "", true))}})
	server = serve(t, Config{Resolvers: func() []string { return nil }}, c.world)
	for range 8 {
		first[ask(t, "udp", server, name, dns.TypeA).Answer[0].String()] = true
	}
	if len(first) != 2 {
		t.Errorf("8 answers began with %d different addresses, want 2", len(first))
	}
}

func TestServer_Forwards(t *testing.T) {
	var asked atomic.Int32
	up := resolver(t, &asked)
	dead := "127.0.0.1:1"
	server := serve(t, Config{Resolvers: func() []string { return []string{dead, up} }}, newCluster(t).world)
	for range 5 {
		r := ask(t, "udp", server, "example.org.", dns.TypeA)
		if len(r.Answer) != 1 || !strings.HasSuffix(r.Answer[0].String(), "192.0.2.7") {
			t.Fatalf("forwarded: %v", r)
		}
	}
	r := ask(t, "tcp", server, "away.shop.svc.cluster.local.", dns.TypeA)
	if len(r.Answer) != 2 {
		t.Errorf("alias: %v, want the CNAME and the address behind it", r)
	}
	for range 3 {
		if r := ask(t, "udp", server, "no.example.org.", dns.TypeA); r.Rcode != dns.RcodeNameError {
			t.Errorf("%v, want NXDOMAIN", r)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the resolver was asked %d times, want 2: answers are remembered", n)
	}
}

func TestServer_NoResolver(t *testing.T) {
	server := serve(t, Config{Resolvers: func() []string { return nil }}, newCluster(t).world)
	if r := ask(t, "udp", server, "example.org.", dns.TypeA); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("%v, want SERVFAIL", r)
	}
}

func TestServer_Limit(t *testing.T) {
	server := serve(t, Config{Resolvers: func() []string { return nil }, QueriesPerSecond: 3}, newCluster(t).world)
	for range 3 {
		ask(t, "udp", server, "web.shop.svc.cluster.local.", dns.TypeA)
	}
	m := new(dns.Msg)
	m.SetQuestion("web.shop.svc.cluster.local.", dns.TypeA)
	c := dns.Client{Timeout: 200 * time.Millisecond}
	if r, _, err := c.Exchange(m, server); err == nil {
		t.Errorf("the fourth question of a second is answered: %v", r)
	}
}

func TestServer_Garbage(t *testing.T) {
	server := serve(t, Config{Resolvers: func() []string { return nil }}, newCluster(t).world)
	c, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range []string{"", "x", strings.Repeat("\x00", 12), "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01", strings.Repeat("\xff", 600)} {
		if _, err := c.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if r := ask(t, "udp", server, "web.shop.svc.cluster.local.", dns.TypeA); len(r.Answer) != 1 {
		t.Errorf("after garbage: %v", r)
	}
	r := ask(t, "udp", server, "web.shop.svc.cluster.local.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, false); m.IsEdns0().SetVersion(1) })
	if r.Rcode != dns.RcodeBadVers {
		t.Errorf("EDNS version 1: %v, want BADVERS", r)
	}
}

func TestForwarder_AgesAndForgets(t *testing.T) {
	var asked atomic.Int32
	up := resolver(t, &asked)
	now := time.Unix(1700000000, 0)
	f, err := newForwarder(func() []string { return []string{up} }, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	q := dns.Question{Name: "example.org.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
	for _, c := range []struct {
		after time.Duration
		ttl   uint32
		asked int32
	}{{0, 60, 1}, {20 * time.Second, 40, 1}, {39 * time.Second, 1, 1}, {time.Second, 60, 2}} {
		now = now.Add(c.after)
		m, err := f.ask(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Answer[0].Header().Ttl; got != c.ttl || asked.Load() != c.asked {
			t.Errorf("after %s: ttl %d and %d questions, want %d and %d", c.after, got, asked.Load(), c.ttl, c.asked)
		}
	}
}

// TestServer_ClosesBesideIdleClients: a client that keeps its connection does not keep the server.
func TestServer_ClosesBesideIdleClients(t *testing.T) {
	s, err := New(Config{Node: "n1", Resolvers: func() []string { return nil }}, still{newCluster(t).world}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.open(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := dns.Dial("tcp", l.at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := new(dns.Msg)
	m.SetQuestion("web.shop.svc.cluster.local.", dns.TypeA)
	if err := c.WriteMsg(m); err != nil {
		t.Fatal(err)
	}
	if r, err := c.ReadMsg(); err != nil || len(r.Answer) != 1 {
		t.Fatalf("ask: %v, %v", r, err)
	}
	closed := make(chan struct{})
	go func() { defer close(closed); l.close() }()
	select {
	case <-closed:
	case <-time.After(3 * time.Second):
		t.Error("the server waits for a client that only keeps its connection")
	}
}

// TestServer_AnotherQuestion: what answers another question than was asked is not taken, nor
// remembered, and the next resolver is asked.
func TestServer_AnotherQuestion(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	liar := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(m)
		r.Question[0].Name = "other.example.org."
		r.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 66)}}
		if err := w.WriteMsg(r); err != nil {
			t.Error(err)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = liar.ActivateAndServe() }()
	t.Cleanup(func() { pc.Close(); <-done })
	var asked atomic.Int32
	honest := resolver(t, &asked)
	server := serve(t, Config{Resolvers: func() []string { return []string{pc.LocalAddr().String(), honest} }}, newCluster(t).world)
	if r := ask(t, "udp", server, "example.org.", dns.TypeA); len(r.Answer) != 1 || !strings.HasSuffix(r.Answer[0].String(), "192.0.2.7") {
		t.Errorf("%v, want the answer of the second resolver", r)
	}
}

// TestServer_OwnAddressesStayHere: nobody else is asked about an address of the cluster, and while
// nothing is adopted it is not denied either.
func TestServer_OwnAddressesStayHere(t *testing.T) {
	var asked atomic.Int32
	up := resolver(t, &asked)
	cfg := Config{Resolvers: func() []string { return []string{up} }}
	for _, tt := range []struct {
		world *state.World
		rcode int
	}{{newCluster(t).world, dns.RcodeNameError}, {state.NewWorld(uuid.New()), dns.RcodeServerFailure}} {
		server := serve(t, cfg, tt.world)
		r := ask(t, "udp", server, "77.3.244.10.in-addr.arpa.", dns.TypePTR)
		if r.Rcode != tt.rcode {
			t.Errorf("commit %q: %v, want %s", tt.world.Adopted().Commit, r, dns.RcodeToString[tt.rcode])
		}
		if tt.rcode == dns.RcodeNameError && (len(r.Ns) != 1 || r.Ns[0].Header().Name != "in-addr.arpa.") {
			t.Errorf("authority: %v, want the SOA of in-addr.arpa.", r.Ns)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the node's resolver was asked %d times, want never", n)
	}
}

// BenchmarkServer asks over loopback from as many clients as there are processors.
func BenchmarkServer(b *testing.B) {
	server := serve(b, Config{Resolvers: func() []string { return nil }}, newCluster(b).world)
	m := new(dns.Msg)
	m.SetQuestion("web.shop.svc.cluster.local.", dns.TypeA)
	wire, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("udp", server)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 1500)
		const window = 32 // questions on their way at once
		sent, got := 0, 0
		for pb.Next() {
			if _, err := c.Write(wire); err != nil {
				b.Error(err)
				return
			}
			sent++
			for sent-got >= window {
				if _, err := c.Read(buf); err != nil {
					b.Error(err)
					return
				}
				got++
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "queries/s")
}

func add(p *state.Put, e discoveryv1.Endpoint) {
	s := p.Object.(*discoveryv1.EndpointSlice)
	s.Endpoints = append(s.Endpoints, e)
}
