package network

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// gateway is the address that every pod has for its default route; each host end of a veth carries it.
var gateway = netip.AddrFrom4([4]byte{169, 254, 1, 1})

// metadata is where clouds answer instances about themselves, secrets included.
var metadata = netip.AddrFrom4([4]byte{169, 254, 169, 254})

// loopback is what a pod must never reach of the node, whatever its routes.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

const (
	dnsPort = 53
	apiPort = 443
)

// chainSpec is a chain with its rules. Hook nil: it is only reached from other chains.
type chainSpec struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	rules    [][]expr.Any
}

// baseChains are the chains that do not depend on services.
func baseChains(r Ranges, n names) []chainSpec {
	filter, nat := nftables.ChainTypeFilter, nftables.ChainTypeNAT
	fromPod := beginsWith(expr.MetaKeyIIFNAME, n.pods)
	return []chainSpec{
		{name: refuseChain, rules: refuseRules()},
		{name: "from-pod", rules: fromPodRules(r)},
		{name: "pod-to-node", rules: podToNodeRules(r)},
		{name: "services", rules: serviceRules(r)},
		{"raw-prerouting", filter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw, [][]expr.Any{
			rule(fromPod, jump("from-pod")),
		}},
		{"raw-output", filter, nftables.ChainHookOutput, nftables.ChainPriorityRaw, dnsUntracked(source, r.DNS)},
		{"nat-prerouting", nat, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, [][]expr.Any{
			rule(ipv4(), jump("services")),
		}},
		{"nat-output", nat, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, [][]expr.Any{
			rule(ipv4(), jump("services")),
		}},
		{"nat-postrouting", nat, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, masqueradeRules(r)},
		{"filter-input", filter, nftables.ChainHookInput, nftables.ChainPriorityFilter, [][]expr.Any{
			rule(fromPod, jump("pod-to-node")),
			rule(ipv4(), inRange(destination, hostPrefix(r.DNS), true), interfaceNot(expr.MetaKeyIIFNAME, "lo"), verdict(expr.VerdictDrop)),
			rule(ipv4(), inRange(destination, hostPrefix(r.API), true), interfaceNot(expr.MetaKeyIIFNAME, "lo"), verdict(expr.VerdictDrop)),
		}},
		{"filter-forward", filter, nftables.ChainHookForward, nftables.ChainPriorityFilter, unknownRules(r)},
		{"filter-output", filter, nftables.ChainHookOutput, nftables.ChainPriorityFilter, unknownRules(r)},
	}
}

// refuseRules answer at once instead of letting the client wait.
func refuseRules() [][]expr.Any {
	return [][]expr.Any{
		rule(l4proto(unix.IPPROTO_TCP), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}),
		rule(&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH}),
	}
}

// fromPodRules hold a pod to its own address, which is the only one routed to its link. Queries to
// the node's DNS need no connection tracking.
func fromPodRules(r Ranges) [][]expr.Any {
	return append([][]expr.Any{
		rule(notIPv4(), verdict(expr.VerdictDrop)),
		rule(inRange(destination, hostPrefix(metadata), true), verdict(expr.VerdictDrop)),
		rule(inRange(destination, loopback, true), verdict(expr.VerdictDrop)),
		rule(&expr.Fib{Register: 1, ResultOIF: true, FlagSADDR: true, FlagIIF: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)}, verdict(expr.VerdictDrop)),
	}, dnsUntracked(destination, r.DNS)...)
}

// dnsUntracked leaves DNS packets to (or from) the node's address out of connection tracking. end
// chooses the address that is compared.
func dnsUntracked(end field, dns netip.Addr) [][]expr.Any {
	port := destinationPort
	if end == source {
		port = sourcePort
	}
	var out [][]expr.Any
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		out = append(out, rule(ipv4(), inRange(end, hostPrefix(dns), true), l4proto(proto), portIs(port, dnsPort), &expr.Notrack{}))
	}
	return out
}

// podToNodeRules let answers, DNS, the API, what a Service leads to and the ports of pods in the node's network
// pass, and nothing else.
func podToNodeRules(r Ranges) [][]expr.Any {
	return [][]expr.Any{
		rule(ctState(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), verdict(expr.VerdictAccept)),
		rule(inRange(destination, hostPrefix(r.DNS), true), l4proto(unix.IPPROTO_UDP), portIs(destinationPort, dnsPort), verdict(expr.VerdictAccept)),
		rule(inRange(destination, hostPrefix(r.DNS), true), l4proto(unix.IPPROTO_TCP), portIs(destinationPort, dnsPort), verdict(expr.VerdictAccept)),
		rule(inRange(destination, hostPrefix(r.API), true), l4proto(unix.IPPROTO_TCP), portIs(destinationPort, apiPort), verdict(expr.VerdictAccept)),
		rule(translated(), verdict(expr.VerdictAccept)),
		openRule(load(destination, regFirst)),
		openRule(anyHostAddress()),
		rule(verdict(expr.VerdictDrop)),
	}
}

// serviceRules find the chain of a cluster IP or a node port, or the pod that has a host port. Node
// ports are open on every address of the node but loopback and those that only pods see; host ports
// on loopback too.
func serviceRules(r Ranges) [][]expr.Any {
	return [][]expr.Any{
		rule(load(destination, 8), loadProto(9), load(destinationPort, 10),
			&expr.Lookup{SourceRegister: 1, IsDestRegSet: true, SetName: mapNames[mapServices]}),
		rule(&expr.Fib{Register: 1, ResultADDRTYPE: true, FlagDADDR: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: native32(unix.RTN_LOCAL)},
			inRange(destination, loopback, false),
			inRange(destination, hostPrefix(gateway), false),
			inRange(destination, hostPrefix(r.DNS), false),
			inRange(destination, hostPrefix(r.API), false),
			loadProto(8), load(destinationPort, 9),
			&expr.Lookup{SourceRegister: 1, IsDestRegSet: true, SetName: mapNames[mapNodePorts]}),
		hostPortRule(r, load(destination, regFirst)),
		hostPortRule(r, anyHostAddress()),
	}
}

// masqueradeRules change the source address where an answer would not find back otherwise: a pod that
// reaches itself through a Service, the node itself at 127.0.0.1, pods that reach beyond the cluster, and clients from outside
// whose target is not a pod on this machine.
func masqueradeRules(r Ranges) [][]expr.Any {
	masquerade := &expr.Masq{FullyRandom: true}
	gw := gateway.As4()
	fromGateway := rule(
		&expr.Immediate{Register: 1, Data: gw[:]},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, FullyRandom: true})
	return [][]expr.Any{
		rule(ipv4(), translated(), load(source, 8), load(destination, 9),
			&expr.Lookup{SourceRegister: 1, SetName: mapNames[setHairpin]}, fromGateway),
		rule(ipv4(), translated(), inRange(source, loopback, true), beginsWith(expr.MetaKeyOIFNAME, anyPods), fromGateway),
		rule(ipv4(), inRange(source, r.Pods, true), inRange(destination, r.Pods, false), interfaceNot(expr.MetaKeyOIFNAME, "lo"), masquerade),
		rule(ipv4(), translated(), inRange(source, r.Pods, false), beginsNotWith(expr.MetaKeyOIFNAME, anyPods), interfaceNot(expr.MetaKeyOIFNAME, "lo"), masquerade),
	}
}

// unknownRules refuse what is still on its way to an address of the service range: no Service has it.
func unknownRules(r Ranges) [][]expr.Any {
	return [][]expr.Any{
		rule(ipv4(), inRange(destination, r.Services, true), inRange(destination, hostPrefix(r.DNS), false), inRange(destination, hostPrefix(r.API), false), jump(refuseChain)),
	}
}

// digestChains is the SHA-256 of chains as they are sent.
func digestChains(chains []chainSpec) (string, error) {
	h := sha256.New()
	for _, c := range chains {
		fmt.Fprintf(h, "chain %s %s %v %v\n", c.name, c.kind, value(c.hook), value(c.priority))
		for _, exprs := range c.rules {
			for _, e := range exprs {
				data, err := expr.Marshal(byte(nftables.TableFamilyINet), e)
				if err != nil {
					return "", fmt.Errorf("encode rule of chain %s: %w", c.name, err)
				}
				h.Write(data)
			}
			h.Write([]byte{'\n'})
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func value[T any](p *T) any {
	if p == nil {
		return "-"
	}
	return *p
}
