package network

import (
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers of the chains that pick a target. The names give 32 bit registers; a key of several
// fields stands in consecutive ones.
const (
	regFirst  = 8              // client, or first field of the key of mapEndpoints
	regFront  = regFirst + 5   // address, protocol and port as in setSticky, followed by regTarget
	regTarget = regFront + 3   // address and port of the target
	regSlot   = regTarget + 2  // key of mapEndpoints where regFirst is taken
	opDelete  = uint32(1 << 1) // NFT_DYNSET_OP_DELETE, which x/sys/unix lacks
)

// classChain picks one of the targets of a class at random. With affinity it first looks whether the
// client has one and whether that still serves.
func classChain(c class) chainSpec {
	spec := chainSpec{name: c.chain()}
	if c.affinity > 0 {
		spec.rules = append(spec.rules, stickyRules(c)...)
	}
	spec.rules = append(spec.rules, rule(c.pick(regFirst), translate()))
	return spec
}

// stickyRules: forget a target that is gone, go where the client went before, or pick one and
// remember it. Without room to remember, the rule behind them picks all the same.
func stickyRules(c class) [][]expr.Any {
	client := rule(load(source, regFirst), c.front(regFirst+1))
	recall := &expr.Lookup{SourceRegister: regFirst, DestRegister: regTarget, IsDestRegSet: true, SetName: clientsMap}
	change := func(op uint32) expr.Any {
		// The kernel wants a register of data for every change of a map, also to delete.
		d := &expr.Dynset{SrcRegKey: regFirst, SrcRegData: regTarget, SetName: clientsMap, Operation: op}
		if op != opDelete {
			d.Timeout = time.Duration(c.affinity) * time.Second
		}
		return d
	}
	return [][]expr.Any{
		rule(client, recall, c.front(regFront),
			&expr.Lookup{SourceRegister: regFront, SetName: mapNames[setSticky], Invert: true}, change(opDelete)),
		rule(client, recall, change(unix.NFT_DYNSET_OP_UPDATE), translate()),
		rule(client, c.pick(regSlot), change(unix.NFT_DYNSET_OP_UPDATE), translate()),
	}
}

// front loads what the client connects to.
func (c class) front(register uint32) []expr.Any {
	address := load(destination, register)
	if c.nodePort {
		address = &expr.Immediate{Register: register, Data: make([]byte, 4)}
	}
	return []expr.Any{address, loadProto(register + 1), load(destinationPort, register+2)}
}

// pick loads a random target into regTarget, using four registers from register on.
func (c class) pick(register uint32) []expr.Any {
	return rule(c.front(register),
		&expr.Numgen{Register: register + 3, Modulus: uint32(c.targets), Type: unix.NFT_NG_RANDOM},
		&expr.Lookup{SourceRegister: register, DestRegister: regTarget, IsDestRegSet: true, SetName: mapNames[mapEndpoints]})
}

func translate() expr.Any {
	return &expr.NAT{
		Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4,
		RegAddrMin: regTarget, RegProtoMin: regTarget + 1, Specified: true,
	}
}
