package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stale says which tracked flows lead where nothing should be sent any more. TCP finds out by
// itself and is left alone, so that a pod that ends can serve its connections to their end.
type stale struct {
	// gone are targets that UDP clients of a key must leave; a key with the zero target has just
	// become known, and what was tracked without a translation hinders it.
	gone map[flowKey]bool
	// addresses had pods that are detached; whatever is tracked of them ends.
	addresses map[netip.Addr]bool
	// nodePorts says that a key of gone is a node port, whose address in flows is any of the node's.
	nodePorts bool
}

type flowKey struct {
	Key
	target netip.AddrPort
}

// staleOf finds the UDP flows that deltas end.
func staleOf(deltas []Delta) stale {
	s := stale{gone: map[flowKey]bool{}}
	for _, d := range deltas {
		key := d.key()
		if key.Proto != unix.IPPROTO_UDP {
			continue
		}
		serves := map[netip.AddrPort]bool{}
		if d.New != nil {
			for _, t := range d.New.Targets {
				serves[t] = true
			}
		}
		if d.Old == nil || len(d.Old.Targets) == 0 {
			s.gone[flowKey{Key: key}] = true
		} else {
			for _, t := range d.Old.Targets {
				if !serves[t] {
					s.gone[flowKey{key, t}] = true
				}
			}
		}
		s.nodePorts = s.nodePorts || key.nodePort()
	}
	return s
}

func (s stale) empty() bool { return len(s.gone) == 0 && len(s.addresses) == 0 }

// MatchConntrackFlow is how the netlink library asks.
func (s stale) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	from, _ := netip.AddrFromSlice(f.Forward.SrcIP)
	to, _ := netip.AddrFromSlice(f.Forward.DstIP)
	answers, _ := netip.AddrFromSlice(f.Reverse.SrcIP)
	from, to, answers = from.Unmap(), to.Unmap(), answers.Unmap()
	if s.addresses[from] || s.addresses[to] || s.addresses[answers] {
		return true
	}
	if f.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	target := netip.AddrPortFrom(answers, f.Reverse.SrcPort)
	if answers == to && f.Reverse.SrcPort == f.Forward.DstPort {
		target = netip.AddrPort{} // not translated
	}
	key := Key{to, unix.IPPROTO_UDP, f.Forward.DstPort}
	if s.gone[flowKey{key, target}] {
		return true
	}
	key.Addr = netip.IPv4Unspecified()
	return s.nodePorts && s.gone[flowKey{key, target}]
}

// endFlows makes the kernel forget stale flows: the next packet of each is routed anew.
func (n *Network) endFlows(s stale) error {
	if s.empty() {
		return nil
	}
	ended, err := n.ct.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, s)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("end stale flows: %w", err)
	}
	if ended > 0 {
		n.log.Debug("stale flows ended", "flows", ended)
	}
	return nil
}
