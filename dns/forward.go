package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

const (
	cacheSize   = 10000
	maxTTL      = time.Hour
	maxNegative = 30 * time.Second
	// attempt is how long one resolver may take before the next is asked.
	attempt = 2 * time.Second
	// maxForwards bounds questions on their way to resolvers.
	maxForwards = 1000
)

var errNoResolver = errors.New("the node has no resolver to ask")

// forwarder asks the node's resolvers about names outside the cluster and remembers what they said.
// It is safe for concurrent use.
type forwarder struct {
	resolvers func() []string // host:port, in the order in which they are asked
	cache     *lru.Cache[dns.Question, cached]
	flights   singleflight.Group
	slots     chan struct{}
	now       func() time.Time
}

type cached struct {
	msg   *dns.Msg
	since time.Time
	until time.Time
}

func newForwarder(resolvers func() []string, now func() time.Time) (*forwarder, error) {
	cache, err := lru.New[dns.Question, cached](cacheSize)
	return &forwarder{resolvers: resolvers, cache: cache, slots: make(chan struct{}, maxForwards), now: now}, err
}

// ask is the answer of the first resolver that has one. The caller must not modify it.
func (f *forwarder) ask(ctx context.Context, q dns.Question) (*dns.Msg, error) {
	q.Name = dns.CanonicalName(q.Name)
	if m := f.recall(q); m != nil {
		return m, nil
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return nil, fmt.Errorf("ask about %s: %d questions are on their way already", q.Name, maxForwards)
	}
	v, err, _ := f.flights.Do(fmt.Sprintf("%s %d", q.Name, q.Qtype), func() (any, error) {
		m, err := f.exchange(ctx, q)
		if err == nil {
			f.remember(q, m)
		}
		return m, err
	})
	if err != nil {
		return nil, err
	}
	return v.(*dns.Msg), nil
}

func (f *forwarder) exchange(ctx context.Context, q dns.Question) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.Name, q.Qtype)
	m.SetEdns0(maxUDP, false)
	err := errNoResolver
	for _, resolver := range f.resolvers() {
		var r *dns.Msg
		r, err = exchangeOnce(ctx, m, resolver)
		if err == nil && r.Rcode != dns.RcodeServerFailure && r.Rcode != dns.RcodeRefused {
			return r, nil
		}
		if err == nil {
			err = fmt.Errorf("%s answers %s", resolver, dns.RcodeToString[r.Rcode])
		}
	}
	return nil, fmt.Errorf("ask about %s: %w", q.Name, err)
}

func exchangeOnce(ctx context.Context, m *dns.Msg, resolver string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	c := dns.Client{Net: "udp", Timeout: attempt}
	r, _, err := c.ExchangeContext(ctx, m, resolver)
	if err == nil && r.Truncated {
		c.Net = "tcp"
		r, _, err = c.ExchangeContext(ctx, m, resolver)
	}
	if err == nil && !isAbout(m, r) {
		err = fmt.Errorf("%s answers another question", resolver)
	}
	return r, err
}

// isAbout says that a message is about the question that was asked (RFC 5452, section 9.1).
func isAbout(m, r *dns.Msg) bool {
	if len(r.Question) != 1 {
		return len(r.Question) == 0 && r.Rcode != dns.RcodeSuccess
	}
	asked, got := m.Question[0], r.Question[0]
	return r.Response && asked.Qtype == got.Qtype && asked.Qclass == got.Qclass && dns.CanonicalName(got.Name) == asked.Name
}

func (f *forwarder) remember(q dns.Question, m *dns.Msg) {
	life := lifetime(m)
	if life <= 0 {
		return
	}
	now := f.now()
	f.cache.Add(q, cached{msg: m, since: now, until: now.Add(life)})
}

// recall is what was remembered, with what is left of its time.
func (f *forwarder) recall(q dns.Question) *dns.Msg {
	c, ok := f.cache.Get(q)
	now := f.now()
	if !ok || !now.Before(c.until) {
		return nil
	}
	aged := c.msg.Copy()
	passed := uint32(now.Sub(c.since) / time.Second)
	for _, section := range [][]dns.RR{aged.Answer, aged.Ns, aged.Extra} {
		for _, rr := range section {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				h.Ttl -= min(h.Ttl, passed)
			}
		}
	}
	return aged
}

// lifetime is how long an answer may be remembered (RFC 2308 for those that hold nothing).
func lifetime(m *dns.Msg) time.Duration {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return 0
	}
	if len(m.Answer) == 0 {
		for _, rr := range m.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				return min(time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second, maxNegative)
			}
		}
		return 0
	}
	life := maxTTL
	for _, rr := range m.Answer {
		life = min(life, time.Duration(rr.Header().Ttl)*time.Second)
	}
	return life
}

// Resolvers reads the nameservers of a resolv.conf as host:port, leaving out those in except.
func Resolvers(file string, except ...string) ([]string, error) {
	conf, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("read resolvers: %w", err)
	}
	var servers []string
next:
	for _, s := range conf.Servers {
		for _, e := range except {
			if strings.EqualFold(s, e) {
				continue next
			}
		}
		servers = append(servers, net.JoinHostPort(s, conf.Port))
	}
	return servers, nil
}
