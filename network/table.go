package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

var mapNames = [mapCount]string{"services", "nodeports", "endpoints", "hostports", "open", "sticky", "hairpin"}

const (
	clientsMap = "clients" // client . address . protocol . port : target; written by the kernel
	// clientsLimit bounds how many clients are remembered.
	clientsLimit = 1 << 18
	// elementsPerMessage keeps a netlink attribute, whose length has 16 bits, from overflowing:
	// what is beyond would be lost in silence.
	elementsPerMessage = 300
)

// concat is the type of a key of several fields.
func concat(types ...nftables.SetDatatype) nftables.SetDatatype {
	return nftables.MustConcatSetType(types...)
}

// newSets describes the sets and maps of a table, those of mapNames first.
func newSets(t *nftables.Table) []*nftables.Set {
	ip, proto, port := nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService
	target := concat(ip, port)
	sets := []*nftables.Set{
		mapServices:  {KeyType: concat(ip, proto, port), IsMap: true, DataType: nftables.TypeVerdict},
		mapNodePorts: {KeyType: concat(proto, port), IsMap: true, DataType: nftables.TypeVerdict},
		mapEndpoints: {KeyType: concat(ip, proto, port, nftables.TypeMark), IsMap: true, DataType: target},
		mapHostPorts: {KeyType: concat(ip, proto, port), IsMap: true, DataType: target},
		setOpen:      {KeyType: concat(ip, proto, port)},
		setSticky:    {KeyType: concat(ip, proto, port, ip, port)},
		setHairpin:   {KeyType: concat(ip, ip)},
		{Name: clientsMap, KeyType: concat(ip, ip, proto, port), IsMap: true, DataType: target, Dynamic: true, HasTimeout: true, Size: clientsLimit},
	}
	for i, s := range sets {
		s.Table, s.ID, s.Concatenation = t, uint32(i+1), true
		if i < mapCount {
			s.Name = mapNames[i]
		}
	}
	return sets
}

// reachStep is by how many addresses the hairpin set grows: a pod whose address is in it already costs
// no write, and a large range does not cost one for each of its addresses.
const reachStep = 256

// reachFor is how far the hairpin set has to reach for an address of the range.
func reachFor(node netip.Prefix, ip netip.Addr) uint32 {
	return (indexOf(node, ip)/reachStep + 1) * reachStep
}

// hairpins are the pairs of equal addresses of a range, by index.
func hairpins(node netip.Prefix, from, to uint32) []entry {
	var out []entry
	for i := from; i < min(to, size(node)); i++ {
		a := addrAt(node, i).As4()
		out = append(out, entry{key: string(a[:]) + string(a[:])})
	}
	return out
}

// strangers are the elements that are no pair of the range. An earlier daemon may have reached further:
// that does no harm.
func strangers(node netip.Prefix, surplus []entry) []entry {
	return slices.DeleteFunc(surplus, func(e entry) bool {
		return len(e.key) == 8 && e.key[:4] == e.key[4:] && node.Contains(addrOf(e.key))
	})
}

// element turns an entry of a map into what is sent.
func element(set int, e entry) nftables.SetElement {
	switch set {
	case mapServices, mapNodePorts:
		return nftables.SetElement{Key: []byte(e.key), VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: e.val}}
	}
	return nftables.SetElement{Key: []byte(e.key), Val: []byte(e.val)}
}

// send queues elements in messages of a size that the kernel takes.
func send(set int, entries []entry, to *nftables.Set, do func(*nftables.Set, []nftables.SetElement) error) error {
	for chunk := range slices.Chunk(entries, elementsPerMessage) {
		list := make([]nftables.SetElement, len(chunk))
		for i, e := range chunk {
			list[i] = element(set, e)
		}
		if err := do(to, list); err != nil {
			return fmt.Errorf("queue elements of %s: %w", to.Name, err)
		}
	}
	return nil
}

// addChains queues chains and then their rules, because rules name other chains.
func addChains(conn *nftables.Conn, t *nftables.Table, chains []chainSpec) {
	made := make([]*nftables.Chain, len(chains))
	for i, c := range chains {
		made[i] = conn.AddChain(&nftables.Chain{Name: c.name, Table: t, Type: c.kind, Hooknum: c.hook, Priority: c.priority})
	}
	for i, c := range chains {
		for _, exprs := range c.rules {
			conn.AddRule(&nftables.Rule{Table: t, Chain: made[i], Exprs: exprs})
		}
	}
}

// classesOf are the classes that a ruleset uses, each once, by the name of their chain.
func classesOf(rs Ruleset) map[string]class {
	out := map[string]class{}
	for f := range rs.each {
		if c := f.class(); c.targets > 0 {
			if name := c.chain(); out[name] == (class{}) {
				out[name] = c
			}
		}
	}
	return out
}

func classChains(classes map[string]class) []chainSpec {
	var out []chainSpec
	for _, name := range slices.Sorted(maps.Keys(classes)) {
		out = append(out, classChain(classes[name]))
	}
	return out
}

// verdictChain reads the name of the chain out of a verdict as the kernel dumps it.
func verdictChain(data []byte) string {
	for len(data) >= unix.SizeofNlAttr {
		length, kind := int(native16(data)), native16(data[2:])
		if length < unix.SizeofNlAttr || length > len(data) {
			return ""
		}
		if kind&^unix.NLA_F_NESTED == unix.NFTA_VERDICT_CHAIN {
			value := data[unix.SizeofNlAttr:length]
			return string(value[:max(0, len(value)-1)])
		}
		data = data[min(len(data), (length+3)&^3):]
	}
	return ""
}
