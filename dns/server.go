package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// Feed is where the server learns of the cluster.
type Feed interface {
	World() *state.World
	Since(rev state.Revision) (changes []state.Change, w *state.World, ok bool)
	Changed(rev state.Revision) <-chan struct{}
}

// Config of a Server.
type Config struct {
	Node state.Node
	// Listen is where to answer. The zero value follows the cluster IP of kube-system/kube-dns, port 53.
	Listen netip.AddrPort
	// Resolvers gives the node's own resolvers as host:port, in the order in which they are asked.
	// It is called for every question that is forwarded and not remembered.
	Resolvers func() []string
	// QueriesPerSecond bounds what one client may ask; 0 is no bound.
	QueriesPerSecond int
	// Sockets outlive the server; nil if nothing keeps them.
	Sockets Sockets
}

// Server answers on one address over UDP and TCP.
type Server struct {
	cfg     Config
	feed    Feed
	board   board
	limit   *limiter
	forward *forwarder
	log     *slog.Logger
	stats   Stats
	trouble atomic.Pointer[trouble]
}

// Stats counts since the start.
type Stats struct {
	Queries, Forwarded, Refused, Failed atomic.Uint64
}

// New makes a Server; nothing listens before Run.
func New(cfg Config, feed Feed, log *slog.Logger) (*Server, error) {
	limit, err := newLimiter(cfg.QueriesPerSecond)
	if err != nil {
		return nil, fmt.Errorf("make dns server: %w", err)
	}
	forward, err := newForwarder(cfg.Resolvers, time.Now)
	if err != nil {
		return nil, fmt.Errorf("make dns server: %w", err)
	}
	s := &Server{cfg: cfg, feed: feed, limit: limit, forward: forward, log: log.With("component", "dns")}
	s.board.reset(state.Share(feed.World(), cfg.Node))
	return s, nil
}

// Stats counts what was asked.
func (s *Server) Stats() *Stats { return &s.stats }

// Trouble is why nothing is answered now, empty if all is well.
func (s *Server) Trouble() string {
	if t := s.trouble.Load(); t != nil {
		return t.what
	}
	return ""
}

// TroubleSince is when the trouble began; zero while there is none.
func (s *Server) TroubleSince() time.Time {
	if t := s.trouble.Load(); t != nil {
		return t.since
	}
	return time.Time{}
}

// trouble is why nothing is answered, and since when.
type trouble struct {
	what  string
	since time.Time
}

// troubled notes a trouble and tells whether there was none before. Only Run calls it.
func (s *Server) troubled(what string) bool {
	before := s.trouble.Load()
	next := trouble{what, time.Now()}
	if before != nil {
		next.since = before.since
	}
	s.trouble.Store(&next)
	return before == nil
}

// Run follows the feed and answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	w := s.feed.World()
	s.board.reset(state.Share(w, s.cfg.Node))
	var listening *listeners
	defer func() { listening.close() }()
	for {
		retry := s.listen(ctx, &listening, state.Share(w, s.cfg.Node))
		select {
		case <-ctx.Done():
			return nil
		case <-retry:
			continue
		case <-s.feed.Changed(w.Revision()):
		}
		changes, next, ok := s.feed.Since(w.Revision())
		w = next
		if v := state.Share(w, s.cfg.Node); ok {
			s.board.step(v, changes)
		} else {
			s.board.reset(v)
		}
	}
}

// listen makes the sockets stand where the View says. The channel is not nil when it has to be tried again.
func (s *Server) listen(ctx context.Context, l **listeners, v state.View) <-chan time.Time {
	at := s.cfg.Listen
	if !at.IsValid() {
		at = serviceAddress(v)
	}
	if !at.IsValid() || *l != nil && (*l).at == at {
		return nil
	}
	(*l).close()
	next, err := s.open(ctx, at)
	*l = next
	if err != nil {
		if s.troubled(err.Error()) {
			s.log.Warn("cannot listen", "address", at, "err", err)
		}
		return time.After(time.Second)
	}
	s.trouble.Store(nil)
	s.log.Info("answering", "address", next.at)
	return nil
}

// serviceAddress is the cluster IP of kube-system/kube-dns.
func serviceAddress(v state.View) netip.AddrPort {
	r := v.Service("kube-system", "kube-dns")
	if s, ok := targetOf(v, r); ok && s.service.Spec.Type != corev1.ServiceTypeExternalName {
		if ips := s.clusterIPs(); len(ips) > 0 {
			return netip.AddrPortFrom(ips[0], 53)
		}
	}
	return netip.AddrPort{}
}

// respond answers any message the long way.
func (s *Server) respond(ctx context.Context, snap *snapshot, m *dns.Msg) *dns.Msg {
	var found reply
	if len(m.Question) == 1 {
		found = snap.zone.ask(dns.CanonicalName(m.Question[0].Name), m.Question[0].Qtype)
	}
	return s.compose(ctx, snap, m, found)
}

// compose makes the answer to a message of what the zone says to its question.
func (s *Server) compose(ctx context.Context, snap *snapshot, m *dns.Msg, found reply) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(m)
	r.RecursionAvailable = true
	r.Compress = true
	if refused := s.unusual(m, r); refused {
		return r
	}
	q := m.Question[0]
	if !found.ours {
		return s.outside(ctx, r, q)
	}
	r.Authoritative = true
	r.Rcode, r.Answer = found.rcode, found.answer
	r.Extra = append(r.Extra, found.extra...)
	for _, rr := range r.Answer { // the client's spelling of the name it asked about
		if h := rr.Header(); h.Name == dns.CanonicalName(q.Name) {
			h.Name = q.Name
		}
	}
	switch {
	case found.follow != "" && q.Qtype != dns.TypeCNAME:
		s.chase(ctx, snap, r, found.follow, q)
	case len(r.Answer) == 0 && r.Rcode != dns.RcodeServerFailure:
		r.Ns = []dns.RR{snap.zone.soa(q.Name)}
	}
	return r
}

// unusual answers what is not an ordinary question, and gives every answer to EDNS its OPT record.
func (s *Server) unusual(m, r *dns.Msg) bool {
	if opt := m.IsEdns0(); opt != nil {
		r.SetEdns0(maxUDP, false)
		if opt.Version() != 0 {
			r.Rcode = dns.RcodeBadVers
			return true
		}
	}
	switch {
	case m.Opcode != dns.OpcodeQuery:
		r.Rcode = dns.RcodeNotImplemented
	case len(m.Question) != 1:
		r.Rcode = dns.RcodeFormatError
	case m.Question[0].Qclass != dns.ClassINET, m.Question[0].Qtype == dns.TypeAXFR, m.Question[0].Qtype == dns.TypeIXFR:
		r.Rcode = dns.RcodeRefused
	default:
		return false
	}
	s.stats.Refused.Add(1)
	return true
}

// outside passes a question on to the node's resolvers.
func (s *Server) outside(ctx context.Context, r *dns.Msg, q dns.Question) *dns.Msg {
	s.stats.Forwarded.Add(1)
	got, err := s.forward.ask(ctx, q)
	if err != nil {
		s.stats.Failed.Add(1)
		if !errors.Is(err, context.Canceled) {
			s.log.Debug("not resolved", "name", q.Name, "err", err)
		}
		r.Rcode = dns.RcodeServerFailure
		return r
	}
	r.Rcode, r.Answer, r.Ns = got.Rcode, got.Answer, got.Ns
	for _, rr := range got.Extra {
		if rr.Header().Rrtype != dns.TypeOPT {
			r.Extra = append(r.Extra, rr)
		}
	}
	return r
}

// chase adds what the name behind a CNAME stands for.
func (s *Server) chase(ctx context.Context, snap *snapshot, r *dns.Msg, name string, q dns.Question) {
	for range 8 { // a chain inside the cluster ends at the latest here
		found := snap.zone.ask(name, q.Qtype)
		if !found.ours {
			break
		}
		r.Answer = append(r.Answer, found.answer...)
		if found.follow == "" {
			return
		}
		name = found.follow
	}
	got, err := s.forward.ask(ctx, dns.Question{Name: name, Qtype: q.Qtype, Qclass: q.Qclass})
	if err != nil {
		s.log.Debug("alias not resolved", "name", name, "err", err)
		return
	}
	r.Answer = append(r.Answer, got.Answer...)
}
