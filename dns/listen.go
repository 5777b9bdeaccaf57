package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// batch is how many datagrams one system call reads or writes.
const batch = 64

// listeners are the sockets of one address. Each reader has a UDP socket of its own, among which the
// kernel spreads the clients.
type listeners struct {
	at   netip.AddrPort
	udp  []*net.UDPConn
	tcp  *dns.Server
	done sync.WaitGroup
	stop context.CancelFunc
}

// close ends the readers and waits for them. l may be nil.
func (l *listeners) close() {
	if l == nil {
		return
	}
	l.stop()
	for _, c := range l.udp {
		c.Close()
	}
	// Without this clients that only keep their connection would be waited for.
	if l.tcp != nil && l.tcp.Shutdown() != nil {
		l.tcp.Listener.Close() // it has not begun yet
	}
	l.done.Wait()
}

// open begins to answer at an address. The address need not be on a link yet. Port 0 takes a free one.
func (s *Server) open(ctx context.Context, at netip.AddrPort) (*listeners, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &listeners{at: at, stop: cancel}
	t, err := s.bind(ctx, l)
	if err != nil {
		l.close()
		return nil, fmt.Errorf("listen for dns: %w", err)
	}
	l.tcp = &dns.Server{
		Listener: t, Handler: tcpHandler{ctx, s}, MaxTCPQueries: 1000,
		ReadTimeout: 5 * time.Second, IdleTimeout: func() time.Duration { return 10 * time.Second },
	}
	for _, c := range l.udp {
		l.done.Go(func() { s.readUDP(ctx, l, c) })
	}
	l.done.Go(func() {
		if err := l.tcp.ActivateAndServe(); err != nil && ctx.Err() == nil {
			s.log.Error("tcp ended", "err", err)
		}
	})
	return l, nil
}

// retryRead is how long a socket that could not be read is left alone.
const retryRead = 10 * time.Millisecond

// readUDP answers what arrives on one socket until it is closed.
func (s *Server) readUDP(ctx context.Context, l *listeners, c *net.UDPConn) {
	p := ipv4.NewPacketConn(c)
	in, out := make([]ipv4.Message, batch), make([]ipv4.Message, batch)
	buffers := make([][]byte, batch)
	for i := range in {
		in[i].Buffers = [][]byte{make([]byte, 4096)}
		buffers[i] = make([]byte, 0, maxUDP)
		out[i].Buffers = [][]byte{nil}
	}
	key := make([]byte, 0, 300)
	for {
		n, err := p.ReadBatch(in, 0)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.log.Debug("read", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryRead):
			}
			continue
		}
		answers, now := 0, time.Now()
		for i := range in[:n] {
			from := in[i].Addr.(*net.UDPAddr)
			reply := s.quick(ctx, l, c, in[i].Buffers[0][:in[i].N], from, buffers[answers], key, now)
			if reply != nil {
				buffers[answers] = reply
				out[answers].Buffers[0], out[answers].Addr = reply, from
				answers++
			}
		}
		s.write(p, out[:answers])
	}
}

func (s *Server) write(p *ipv4.PacketConn, out []ipv4.Message) {
	for len(out) > 0 {
		n, err := p.WriteBatch(out, 0)
		if err != nil {
			s.log.Debug("write", "err", err)
			n = max(n, 1) // that client cannot be reached; the others can
		}
		out = out[n:]
	}
}

// quick answers from what is packed already, else in a goroutine of its own if it may have to wait.
// The reply is nil when it is sent elsewhere or not at all.
func (s *Server) quick(ctx context.Context, l *listeners, c *net.UDPConn, m []byte, from *net.UDPAddr, out, key []byte, now time.Time) []byte {
	s.stats.Queries.Add(1)
	if !s.limit.allow(from.AddrPort().Addr(), now) {
		s.stats.Refused.Add(1)
		return nil
	}
	snap := s.board.current.Load()
	q, ordinary := read(m, key)
	if ordinary {
		if wire := snap.answers.get(q.key); wire != nil {
			return q.answer(out, m, wire)
		}
	}
	msg := new(dns.Msg)
	if err := msg.Unpack(m); err != nil || msg.Response {
		return malformed(out, m)
	}
	found := reply{}
	if ordinary {
		found = snap.zone.ask(dns.CanonicalName(msg.Question[0].Name), msg.Question[0].Qtype)
	}
	if !found.local() {
		l.done.Go(func() { // bounded by the forwarder
			r := s.respond(ctx, snap, msg)
			if _, err := c.WriteTo(wireOf(r, limitOf(msg)), from); err != nil {
				s.log.Debug("write", "err", err)
			}
		})
		return nil
	}
	r := s.compose(ctx, snap, msg, found)
	snap.answers.put(q.key, r)
	if wire := snap.answers.get(q.key); wire != nil {
		return q.answer(out, m, wire)
	}
	return append(out[:0], wireOf(r, q.size)...)
}

// local says whether the question can be answered without asking anybody.
func (r reply) local() bool { return r.ours && r.follow == "" }

// malformed is the answer to what is no question: FORMERR with its identifier, or nothing.
func malformed(out, m []byte) []byte {
	if len(m) < headerSize || m[2]&0x80 != 0 {
		return nil
	}
	return append(out[:0], m[0], m[1], 0x80, dns.RcodeFormatError, 0, 0, 0, 0, 0, 0, 0, 0)
}

func limitOf(m *dns.Msg) int {
	if opt := m.IsEdns0(); opt != nil {
		return min(max(dns.MinMsgSize, int(opt.UDPSize())), maxUDP)
	}
	return dns.MinMsgSize
}

// wireOf packs an answer, cut to a size.
func wireOf(r *dns.Msg, size int) []byte {
	r.Truncate(size)
	wire, err := r.Pack()
	if err != nil {
		failed := new(dns.Msg)
		failed.SetRcode(r, dns.RcodeServerFailure)
		wire, _ = failed.Pack() // a header and a question that was unpacked before
	}
	return wire
}

// tcpHandler answers over TCP.
type tcpHandler struct {
	ctx context.Context // of the listeners: the library's interface has none
	s   *Server
}

func (h tcpHandler) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	h.s.stats.Queries.Add(1)
	if from, ok := w.RemoteAddr().(*net.TCPAddr); ok && !h.s.limit.allow(from.AddrPort().Addr(), time.Now()) {
		h.s.stats.Refused.Add(1)
		w.Close()
		return
	}
	r := h.s.respond(h.ctx, h.s.board.current.Load(), m)
	r.Truncate(dns.MaxMsgSize)
	if err := w.WriteMsg(r); err != nil {
		h.s.log.Debug("write", "err", err)
	}
}
