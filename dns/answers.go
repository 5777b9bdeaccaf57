package dns

import (
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"
)

// maxAnswers bounds the packed answers of one snapshot; beyond it questions are answered one by one.
const maxAnswers = 16384

// maxRotations is in how many orders an answer of several addresses is given, so that clients which
// take the first spread over all.
const maxRotations = 16

// answers holds packed answers of one snapshot. It dies with the snapshot.
type answers struct {
	packed sync.Map // question key (string) -> *packed
	n      atomic.Int64
}

// packed is an answer in wire form without an OPT record; its identifier, its question and the RD bit
// are those of the question it was made for and are replaced before it is sent.
type packed struct {
	messages [][]byte
	next     atomic.Uint32
}

func newAnswers() *answers { return &answers{} }

// get is an answer in wire form, nil if there is none. The caller must not modify it.
func (a *answers) get(key []byte) []byte {
	v, ok := a.packed.Load(string(key))
	if !ok {
		return nil
	}
	p := v.(*packed)
	if len(p.messages) == 1 {
		return p.messages[0]
	}
	return p.messages[p.next.Add(1)%uint32(len(p.messages))]
}

// put keeps an answer in every order it is to be given in.
func (a *answers) put(key []byte, m *dns.Msg) {
	if a.n.Load() >= maxAnswers {
		return
	}
	p := &packed{}
	for i := range min(max(1, rotatable(m)), maxRotations) {
		wire, err := rotated(m, i).Pack()
		if err != nil {
			return
		}
		p.messages = append(p.messages, wire)
	}
	if _, there := a.packed.LoadOrStore(string(key), p); !there {
		a.n.Add(1)
	}
}

// rotatable is the number of orders that make a difference: answers of addresses only.
func rotatable(m *dns.Msg) int {
	for _, rr := range m.Answer {
		if t := rr.Header().Rrtype; t != dns.TypeA && t != dns.TypeAAAA {
			return 1
		}
	}
	return len(m.Answer)
}

// rotated is m with its answers begun at the i-th.
func rotated(m *dns.Msg, i int) *dns.Msg {
	c := *m
	c.Extra = nil
	for _, rr := range m.Extra {
		if rr.Header().Rrtype != dns.TypeOPT {
			c.Extra = append(c.Extra, rr)
		}
	}
	c.Answer = append(append([]dns.RR(nil), m.Answer[i%max(1, len(m.Answer)):]...), m.Answer[:i%max(1, len(m.Answer))]...)
	c.Compress = true
	return &c
}
