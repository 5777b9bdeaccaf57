package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The maps of the table whose elements follow the ruleset.
const (
	mapServices  = iota // address . protocol . port : verdict
	mapNodePorts        // protocol . port : verdict
	mapEndpoints        // address . protocol . port . slot : address . port
	mapHostPorts        // address . protocol . port : address . port
	setOpen             // address . protocol . port that pods reach on the node itself
	setSticky           // address . protocol . port . address . port of targets with affinity
	setHairpin          // each address that a pod of the node may have, twice
	mapCount
)

// entry is one element of a map: the key as the kernel has it, each field padded to four bytes, and
// the data or the name of the chain to go to.
type entry struct{ key, val string }

// content is the elements of every map.
type content [mapCount][]entry

// class is what the chain that picks a target depends on. Services with equal numbers share one.
type class struct {
	nodePort bool
	targets  int
	affinity uint32
}

// refuseChain answers for keys without a target.
const refuseChain = "refuse"

func (f *Frontend) class() class {
	if f.Host {
		return class{} // the one target of a host port needs no chain
	}
	return class{f.nodePort(), len(f.Targets), f.Affinity}
}

// chain is the name of a class's chain.
func (c class) chain() string {
	kind := "vip"
	if c.nodePort {
		kind = "node"
	}
	switch {
	case c.targets == 0:
		return refuseChain
	case c.affinity > 0:
		return fmt.Sprintf("%s-%d-for-%d", kind, c.targets, c.affinity)
	}
	return fmt.Sprintf("%s-%d", kind, c.targets)
}

// add appends the elements of a frontend.
func (c *content) add(f *Frontend) {
	front := f.Key.padded()
	if f.open() {
		c[setOpen] = append(c[setOpen], entry{front, ""})
		return
	}
	if f.Host {
		c[mapHostPorts] = append(c[mapHostPorts], entry{front, paddedTarget(f.Targets[0])})
		return
	}
	chain := f.class().chain()
	if f.nodePort() {
		c[mapNodePorts] = append(c[mapNodePorts], entry{front[4:], chain})
	} else {
		c[mapServices] = append(c[mapServices], entry{front, chain})
	}
	for slot, t := range f.Targets {
		target := paddedTarget(t)
		key := binary.NativeEndian.AppendUint32([]byte(front), uint32(slot))
		c[mapEndpoints] = append(c[mapEndpoints], entry{string(key), target})
		if f.Affinity > 0 {
			c[setSticky] = append(c[setSticky], entry{front + target, ""})
		}
	}
}

func contentOf(rs Ruleset) content {
	var c content
	for f := range rs.each {
		c.add(f)
	}
	return c
}

// padded is the key as registers hold it.
func (k Key) padded() string {
	var b [12]byte
	a := k.Addr.As4()
	copy(b[:], a[:])
	b[4] = k.Proto
	binary.BigEndian.PutUint16(b[8:], k.Port)
	return string(b[:])
}

func paddedTarget(t netip.AddrPort) string {
	var b [8]byte
	a := t.Addr().As4()
	copy(b[:], a[:])
	binary.BigEndian.PutUint16(b[4:], t.Port())
	return string(b[:])
}

// difference is what has to be deleted and added to make is out of was.
func difference(was map[string]string, is []entry) (deletes, adds []entry) {
	for _, e := range is {
		val, ok := was[e.key]
		if ok && val == e.val {
			delete(was, e.key)
			continue
		}
		adds = append(adds, e)
	}
	for key, val := range was {
		deletes = append(deletes, entry{key, val})
	}
	return deletes, adds
}

func indexed(list []entry) map[string]string {
	m := make(map[string]string, len(list))
	for _, e := range list {
		m[e.key] = e.val
	}
	return m
}
