package dns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const headerSize = 12

// maxUDP is the largest answer sent over UDP: what crosses every link unfragmented (DNS flag day 2020).
const maxUDP = 1232

// query is an ordinary question read in place, without allocating. Anything unusual is not read here
// and takes the long way.
type query struct {
	question []byte // of the message: name, type, class
	key      []byte // name in lower case, type
	edns     bool
	size     int // largest answer that the client takes
}

// read parses an ordinary question. key is a buffer that is used for query.key.
func read(m []byte, key []byte) (q query, ok bool) {
	if len(m) < headerSize+5 || m[2]&0xF8 != 0 || // a query, opcode QUERY
		binary.BigEndian.Uint16(m[4:]) != 1 || binary.BigEndian.Uint32(m[6:]) != 0 {
		return q, false
	}
	at := headerSize
	key = key[:0]
	for {
		if at >= len(m) {
			return q, false
		}
		n := int(m[at])
		if n > 63 || at+1+n >= len(m) {
			return q, false
		}
		key = append(key, byte(n))
		for _, c := range m[at+1 : at+1+n] {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			key = append(key, c)
		}
		at += 1 + n
		if n == 0 {
			break
		}
	}
	if len(m) < at+4 || len(key) > 255 || binary.BigEndian.Uint16(m[at+2:]) != dns.ClassINET {
		return q, false
	}
	q.key = append(key, m[at], m[at+1])
	q.question = m[headerSize : at+4]
	return q, q.options(m, at+4)
}

// options reads what follows the question: nothing, or one plain OPT record.
func (q *query) options(m []byte, at int) bool {
	q.size = dns.MinMsgSize
	switch binary.BigEndian.Uint16(m[10:]) {
	case 0:
		return at == len(m)
	case 1:
		opt := m[at:]
		if len(opt) < 11 || opt[0] != 0 || binary.BigEndian.Uint16(opt[1:]) != dns.TypeOPT || opt[6] != 0 { // version 0
			return false
		}
		q.edns = true
		q.size = min(max(dns.MinMsgSize, int(binary.BigEndian.Uint16(opt[3:]))), maxUDP)
		return len(opt) == 11+int(binary.BigEndian.Uint16(opt[9:]))
	}
	return false
}

// optRecord is the OPT record of our answers: root name, type 41, size 1232, no flags, no data.
var optRecord = [11]byte{0, 0, byte(dns.TypeOPT), byte(maxUDP >> 8), byte(maxUDP & 0xFF)}

// answer writes the answer to a question into out, whose capacity must be at least maxUDP: wire with
// the client's identifier, question and RD bit. One that is too large is cut, so that the client asks
// again over TCP.
func (q *query) answer(out, m, wire []byte) []byte {
	need := len(wire)
	if q.edns {
		need += len(optRecord)
	}
	cut := need > q.size
	if cut {
		out = append(out[:0], wire[:headerSize]...)
		out = append(out, q.question...)
		out[2] |= 0x02 // TC
		clear(out[6:12])
	} else {
		out = append(out[:0], wire...)
		copy(out[headerSize:], q.question)
	}
	out[0], out[1] = m[0], m[1]
	out[2] = out[2]&^0x01 | m[2]&0x01
	if q.edns {
		binary.BigEndian.PutUint16(out[10:], binary.BigEndian.Uint16(out[10:])+1)
		out = append(out, optRecord[:]...)
	}
	return out
}
