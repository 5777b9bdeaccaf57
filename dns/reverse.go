package dns

import (
	"net/netip"

	iradix "github.com/hashicorp/go-immutable-radix/v2"

	"writ/manifest"
	"writ/state"
)

// reverse finds the names of an address. It is immutable; names are relative to svc.DOMAIN and end
// with a dot: "web.shop." or "web-0.web.shop.".
type reverse struct {
	tree *iradix.Tree[string] // address, zero, owner -> name
}

func (r reverse) names(ip netip.Addr) []string {
	if r.tree == nil {
		return nil
	}
	var names []string
	it := r.tree.Root().Iterator()
	it.SeekPrefix(append([]byte(ip.String()), 0))
	for _, name, ok := it.Next(); ok; _, name, ok = it.Next() {
		names = append(names, name)
	}
	return names
}

// reversed computes the whole index of a View.
func reversed(v state.View) reverse {
	txn := iradix.New[string]().Txn()
	for s := range v.Services("") {
		insert(txn, serviceNames(v, s))
	}
	return reverse{txn.Commit()}
}

// after is the index after the Services in touched have changed from how was saw them to how is does.
func (r reverse) after(was, is state.View, touched map[manifest.Ref]bool) reverse {
	if r.tree == nil {
		return reversed(is)
	}
	txn := r.tree.Txn()
	for ref := range touched {
		for key := range serviceNames(was, was.Service(ref.Namespace, ref.Name)) {
			txn.Delete([]byte(key))
		}
	}
	for ref := range touched {
		insert(txn, serviceNames(is, is.Service(ref.Namespace, ref.Name)))
	}
	return reverse{txn.Commit()}
}

func insert(txn *iradix.Txn[string], names map[string]string) {
	for key, name := range names {
		txn.Insert([]byte(key), name)
	}
}

// serviceNames is what one Service contributes: its cluster IPs, or the addresses behind it.
func serviceNames(v state.View, r *state.Record) map[string]string {
	s, ok := targetOf(v, r)
	if !ok {
		return nil
	}
	base := r.Ref.Name + "." + r.Ref.Namespace + "."
	names := map[string]string{}
	for _, ip := range s.clusterIPs() {
		names[ip.String()+"\x00"+base] = base
	}
	if s.headless() {
		for e := range s.endpoints() {
			names[e.ip.String()+"\x00"+base] = e.label + "." + base
		}
	}
	return names
}
