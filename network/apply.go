package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/google/nftables"
	mdl "github.com/mdlayher/netlink"
)

// kernelTable is the node's table in the kernel. It is used by one goroutine at a time.
type kernelTable struct {
	names names
	ns    int    // network namespace, owned by the Network
	file  string // where mark is kept

	conn *nftables.Conn // nil after an error: its state would be unknown
	raw  *mdl.Conn      // the same connection
	port *atomic.Uint32 // netlink port of the connection

	table   *nftables.Table
	sets    []*nftables.Set
	classes map[string]class // chains that are there
	reach   uint32           // how many addresses of the node's range the hairpin set holds
	mark    mark
}

// mark is how the rules in the kernel are known again, by the next daemon as well.
type mark struct {
	Layout string `json:"layout"` // of the chains as they would be written
	Rules  string `json:"rules"`  // of the rules as the kernel has them
}

func newKernelTable(n names, ns int, file string, port *atomic.Uint32) *kernelTable {
	t := &nftables.Table{Name: n.table, Family: nftables.TableFamilyINet}
	k := &kernelTable{names: n, ns: ns, file: file, port: port, table: t, sets: newSets(t), classes: map[string]class{}, reach: reachStep}
	if data, err := os.ReadFile(file); err == nil && json.Unmarshal(data, &k.mark) != nil {
		k.mark = mark{}
	}
	return k
}

func (k *kernelTable) open() error {
	if k.conn != nil {
		return nil
	}
	conn, raw, port, err := dialNFT(k.ns)
	if err != nil {
		return err
	}
	k.conn, k.raw = conn, raw
	k.port.Store(port)
	return nil
}

// close gives the connection up.
func (k *kernelTable) close() error {
	if k.conn == nil {
		return nil
	}
	conn := k.conn
	k.conn, k.raw = nil, nil
	return conn.CloseLasting()
}

// flush sends what is queued as one transaction. After an error the connection is a new one.
func (k *kernelTable) flush() error {
	if err := k.conn.Flush(); err != nil {
		return errors.Join(err, k.close())
	}
	return nil
}

// set makes the kernel hold a ruleset whatever is there. It writes only what differs, and says
// whether anything did.
func (k *kernelTable) set(rs Ruleset) (wrote bool, err error) {
	if err := k.open(); err != nil {
		return false, err
	}
	same, err := k.known(rs)
	if err != nil {
		return false, errors.Join(err, k.close())
	}
	if !same {
		return true, k.replace(rs)
	}
	return k.catchUp(rs)
}

// known says whether the rules in the kernel are those that were written for the same layout.
func (k *kernelTable) known(rs Ruleset) (bool, error) {
	layout, err := layoutOf(rs.Ranges, k.names)
	if err != nil {
		return false, err
	}
	digest, rules, err := dumpDigest(k.raw, k.table.Name)
	if err != nil || rules == 0 || layout != k.mark.Layout || digest != k.mark.Rules {
		return false, err
	}
	chains, err := k.conn.ListChainsOfTableFamily(k.table.Family)
	if err != nil {
		return false, fmt.Errorf("list chains: %w", err)
	}
	k.classes = map[string]class{}
	for _, c := range chains {
		if c.Table.Name != k.table.Name {
			continue
		}
		if c.Policy != nil && *c.Policy != nftables.ChainPolicyAccept {
			return false, nil
		}
		k.classes[c.Name] = class{}
	}
	for _, c := range baseChains(rs.Ranges, k.names) {
		if _, ok := k.classes[c.name]; !ok {
			return false, nil
		}
	}
	return true, nil
}

// layoutOf is the digest of everything that rules are made from.
func layoutOf(r Ranges, n names) (string, error) {
	chains := baseChains(r, n)
	for _, c := range []class{{false, 1, 0}, {true, 2, 0}, {false, 3, 7}, {true, 4, 7}} {
		chains = append(chains, classChain(c))
	}
	return digestChains(chains)
}

// replace writes the whole table in one transaction: there is no moment without rules.
func (k *kernelTable) replace(rs Ruleset) error {
	layout, err := layoutOf(rs.Ranges, k.names)
	if err != nil {
		return err
	}
	k.conn.AddTable(k.table) // so that it can be deleted whether it is there or not
	k.conn.DelTable(k.table)
	k.conn.AddTable(k.table)
	for _, s := range k.sets {
		if err := k.conn.AddSet(s, nil); err != nil {
			return fmt.Errorf("queue set %s: %w", s.Name, errors.Join(err, k.close()))
		}
	}
	classes := classesOf(rs)
	chains := append(baseChains(rs.Ranges, k.names), classChains(classes)...)
	addChains(k.conn, k.table, chains)
	c := k.content(rs)
	for i := range c {
		err = errors.Join(err, send(i, c[i], k.sets[i], k.conn.SetAddElements))
	}
	if err != nil {
		return errors.Join(err, k.close())
	}
	if err := k.flush(); err != nil {
		return fmt.Errorf("write table %s: %w", k.table.Name, err)
	}
	k.classes = classes
	return k.remember(layout)
}

// catchUp compares the elements with those in the kernel and writes the difference.
func (k *kernelTable) catchUp(rs Ruleset) (wrote bool, err error) {
	var deletes, adds content
	want := k.content(rs)
	for i := range mapCount {
		have, err := k.elements(i)
		if err != nil {
			return false, errors.Join(err, k.close())
		}
		deletes[i], adds[i] = difference(have, want[i])
		if i == setHairpin {
			deletes[i] = strangers(rs.Ranges.Node, deletes[i])
		}
		wrote = wrote || len(deletes[i]) > 0 || len(adds[i]) > 0
	}
	if !wrote {
		return false, nil
	}
	return true, k.write(classesOf(rs), deletes, adds)
}

// content is what the maps hold for a ruleset.
func (k *kernelTable) content(rs Ruleset) content {
	c := contentOf(rs)
	c[setHairpin] = hairpins(rs.Ranges.Node, 0, k.reach)
	return c
}

// extend makes the hairpin set reach further.
func (k *kernelTable) extend(node netip.Prefix, reach uint32) error {
	if reach <= k.reach {
		return nil
	}
	if err := k.open(); err != nil {
		return err
	}
	var adds content
	adds[setHairpin] = hairpins(node, k.reach, reach)
	if err := k.write(nil, content{}, adds); err != nil {
		return err
	}
	k.reach = reach
	return nil
}

// elements reads what a map holds in the kernel.
func (k *kernelTable) elements(set int) (map[string]string, error) {
	list, err := k.conn.GetSetElements(k.sets[set])
	if err != nil {
		return nil, fmt.Errorf("list elements of %s: %w", k.sets[set].Name, err)
	}
	out := make(map[string]string, len(list))
	for i := range list {
		switch set {
		case mapServices, mapNodePorts:
			out[string(list[i].Key)] = verdictChain(list[i].Val)
		default:
			out[string(list[i].Key)] = string(list[i].Val)
		}
	}
	return out, nil
}

// apply writes how a ruleset differs from the one that the kernel holds, as one transaction.
func (k *kernelTable) apply(deltas []Delta) error {
	if err := k.open(); err != nil {
		return err
	}
	var was, is content
	classes := map[string]class{}
	for _, d := range deltas {
		if d.Old != nil {
			was.add(d.Old)
		}
		if d.New != nil {
			is.add(d.New)
			if c := d.New.class(); c.targets > 0 {
				classes[c.chain()] = c
			}
		}
	}
	var deletes, adds content
	for i := range mapCount {
		deletes[i], adds[i] = difference(indexed(was[i]), is[i])
	}
	return k.write(classes, deletes, adds)
}

// write adds the chains of classes that are missing and changes elements.
func (k *kernelTable) write(classes map[string]class, deletes, adds content) error {
	missing := maps.Clone(classes)
	maps.DeleteFunc(missing, func(name string, _ class) bool { _, ok := k.classes[name]; return ok })
	addChains(k.conn, k.table, classChains(missing))
	var err error
	for i := range mapCount {
		err = errors.Join(err, send(i, deletes[i], k.sets[i], k.conn.SetDeleteElements))
	}
	for i := range mapCount {
		err = errors.Join(err, send(i, adds[i], k.sets[i], k.conn.SetAddElements))
	}
	if err != nil {
		return errors.Join(err, k.close())
	}
	if err := k.flush(); err != nil {
		return fmt.Errorf("change table %s: %w", k.table.Name, err)
	}
	if len(missing) == 0 {
		return nil
	}
	maps.Copy(k.classes, missing)
	return k.remember(k.mark.Layout)
}

// remember notes how the rules look now, so that the next look tells whether somebody else changed them.
func (k *kernelTable) remember(layout string) error {
	digest, _, err := dumpDigest(k.raw, k.table.Name)
	if err != nil {
		return errors.Join(err, k.close())
	}
	k.mark = mark{Layout: layout, Rules: digest}
	return writeJSON(k.file, k.mark)
}

// remove deletes the table.
func (k *kernelTable) remove() error {
	if err := k.open(); err != nil {
		return err
	}
	k.conn.AddTable(k.table)
	k.conn.DelTable(k.table)
	if err := k.flush(); err != nil {
		return fmt.Errorf("delete table %s: %w", k.table.Name, err)
	}
	k.classes, k.mark = map[string]class{}, mark{}
	return nil
}
