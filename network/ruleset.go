package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
	"golang.org/x/sys/unix"
)

// Key is what a client connects to. Addr is the zero address 0.0.0.0 for a node port, and for a host
// port on every address of the node.
type Key struct {
	Addr  netip.Addr
	Proto uint8 // unix.IPPROTO_TCP or unix.IPPROTO_UDP
	Port  uint16
	Host  bool // a port of the node that a pod asks for, not one of a Service
}

// nodePort says whether the key is a node port.
func (k Key) nodePort() bool { return !k.Host && k.Addr == netip.IPv4Unspecified() }

func (k Key) String() string {
	proto := "tcp"
	if k.Proto == unix.IPPROTO_UDP {
		proto = "udp"
	}
	switch {
	case k.nodePort():
		return fmt.Sprintf("%s/node:%d", proto, k.Port)
	case k.Host && k.Addr == netip.IPv4Unspecified():
		return fmt.Sprintf("%s/host:%d", proto, k.Port)
	case k.Host:
		return fmt.Sprintf("%s/host %s:%d", proto, k.Addr, k.Port)
	}
	return fmt.Sprintf("%s/%s:%d", proto, k.Addr, k.Port)
}

func (k Key) bytes() []byte {
	a := k.Addr.As4()
	b := binary.BigEndian.AppendUint16(append(a[:], k.Proto), k.Port)
	if k.Host {
		return append(b, 1)
	}
	return append(b, 0)
}

// Frontend is one port of a Service as clients see it, with where its connections go, or a host port
// of a pod, which has one target, or none if the pod has the node's own network. It is immutable.
type Frontend struct {
	Key
	Owner    string           // namespace/name of a Service, podOwner of a pod
	Affinity uint32           // seconds a client stays with its target after its last connection; 0: no affinity
	Targets  []netip.AddrPort // sorted, each once; none: connections are refused
}

// open says that the port is one of a pod in the node's own network: nothing is translated, pods may
// come to it.
func (f *Frontend) open() bool { return f.Host && len(f.Targets) == 0 }

func (f *Frontend) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", f.Key, f.Owner)
	if f.Affinity > 0 {
		fmt.Fprintf(&b, " sticky %ds", f.Affinity)
	}
	for i, t := range f.Targets {
		if i == 0 {
			b.WriteString(" ->")
		}
		b.WriteString(" " + t.String())
	}
	switch {
	case f.open():
		b.WriteString(" open to pods")
	case len(f.Targets) == 0:
		b.WriteString(" refused")
	}
	return b.String()
}

func (f *Frontend) equal(o *Frontend) bool {
	return f.Key == o.Key && f.Affinity == o.Affinity && slices.Equal(f.Targets, o.Targets)
}

// Ruleset is the whole configuration of the node's table. It is immutable.
type Ruleset struct {
	Ranges Ranges
	// fronts holds every frontend by key and, behind it, owner. Two may claim one key; the first by
	// name has it, whatever the history.
	fronts  *iradix.Tree[*Frontend]
	byOwner *iradix.Tree[[]*Frontend]
}

func emptyRuleset(r Ranges) Ruleset {
	return Ruleset{Ranges: r, fronts: iradix.New[*Frontend](), byOwner: iradix.New[[]*Frontend]()}
}

// each yields the frontends that have their key, in order.
func (r Ruleset) each(yield func(*Frontend) bool) {
	if r.fronts == nil {
		return
	}
	it := r.fronts.Root().Iterator()
	var last Key
	for _, f, ok := it.Next(); ok; _, f, ok = it.Next() {
		if f.Key != last && !yield(f) {
			return
		}
		last = f.Key
	}
}

// winner is the frontend that has a key, or nil.
func winner(t *iradix.Tree[*Frontend], k Key) *Frontend {
	it := t.Root().Iterator()
	it.SeekPrefix(k.bytes())
	_, f, _ := it.Next()
	return f
}

// String is the ruleset as text, one line for each frontend: what tests compare.
func (r Ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pods %s here %s services %s dns %s\n", r.Ranges.Pods, r.Ranges.Node, r.Ranges.Services, r.Ranges.DNS)
	for f := range r.each {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

// Delta is how one key changes. Old is nil for a new one, New for one that goes.
type Delta struct{ Old, New *Frontend }

// Diff is what leads from one ruleset to another, in the order of the keys. Ranges are not compared.
func Diff(from, to Ruleset) []Delta {
	old := map[Key]*Frontend{}
	for f := range from.each {
		old[f.Key] = f
	}
	var out []Delta
	for f := range to.each {
		was := old[f.Key]
		delete(old, f.Key)
		if was == nil || !was.equal(f) {
			out = append(out, Delta{Old: was, New: f})
		}
	}
	for _, f := range old {
		out = append(out, Delta{Old: f})
	}
	sortDeltas(out)
	return out
}

func sortDeltas(deltas []Delta) {
	slices.SortFunc(deltas, func(a, b Delta) int { return slices.Compare(a.key().bytes(), b.key().bytes()) })
}

func (d Delta) key() Key {
	if d.New != nil {
		return d.New.Key
	}
	return d.Old.Key
}

func (d Delta) String() string {
	switch {
	case d.Old == nil:
		return "+ " + d.New.String()
	case d.New == nil:
		return "- " + d.Old.String()
	}
	return "~ " + d.New.String()
}
