package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stale says which tracked flows lead where nothing should be sent any more. TCP finds out by
// itself and is left alone, so that a pod that ends can serve its connections to their end.
type stale struct {
	// serve are the targets of keys whose UDP flows may lead elsewhere, be it to a target that is gone
	// or, because the key was not known then, without any translation.
	serve map[Key]map[netip.AddrPort]bool
	// addresses had pods that are detached; whatever is tracked of them ends.
	addresses map[netip.Addr]bool
}

// staleOf finds the UDP flows that deltas end.
func staleOf(deltas []Delta) stale {
	s := stale{serve: map[Key]map[netip.AddrPort]bool{}}
	for _, d := range deltas {
		if d.key().Proto != unix.IPPROTO_UDP {
			continue
		}
		serve := map[netip.AddrPort]bool{}
		if d.New != nil {
			for _, t := range d.New.Targets {
				serve[t] = true
			}
		}
		if d.Old == nil || slices.ContainsFunc(d.Old.Targets, func(t netip.AddrPort) bool { return !serve[t] }) || len(d.Old.Targets) == 0 {
			s.serve[d.key()] = serve
		}
	}
	return s
}

func (s stale) empty() bool { return len(s.serve) == 0 && len(s.addresses) == 0 }

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
	key := Key{Addr: to, Proto: unix.IPPROTO_UDP, Port: f.Forward.DstPort}
	if serve, ok := s.find(key); ok {
		return !serve[target]
	}
	// A node port, and a host port, stands for every address of the node; which those are is not known here. A flow that
	// was not translated is ended only to be looked at again: that of a pod or a host beyond, which the
	// port does not concern, goes on as before.
	key.Addr = netip.IPv4Unspecified()
	serve, ok := s.find(key)
	return ok && !serve[target]
}

// find looks for a key of a Service or, else, of a pod.
func (s stale) find(k Key) (serve map[netip.AddrPort]bool, ok bool) {
	if serve, ok = s.serve[k]; !ok {
		k.Host = true
		serve, ok = s.serve[k]
	}
	return serve, ok
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
