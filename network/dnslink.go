package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// setDNSLink makes the addresses that the node answers itself, those of the cluster's DNS and of its API, addresses of
// the node, on a link of their own, and leads the service range there, so that the node itself has a route to cluster IPs, which its output
// then translates. It is idempotent.
func (n *Network) setDNSLink(r Ranges) error {
	link, err := n.host.LinkByName(n.names.dns)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = n.names.dns
		if err := n.host.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: n.names.peer}); err != nil {
			return fmt.Errorf("make link %s: %w", attrs.Name, err)
		}
		link, err = n.host.LinkByName(n.names.dns)
	}
	if err != nil {
		return fmt.Errorf("find link %s: %w", n.names.dns, err)
	}
	peer, err := n.host.LinkByName(n.names.peer)
	if err != nil {
		// Half of a pair cannot be: somebody made a link of this name.
		return errors.Join(fmt.Errorf("find link %s: %w", n.names.peer, err), dropLink(n.host, n.names.dns))
	}
	for _, l := range []netlink.Link{link, peer} {
		if l.Attrs().Flags&net.FlagUp != 0 {
			continue
		}
		if err := n.host.LinkSetUp(l); err != nil {
			return fmt.Errorf("set up link %s: %w", l.Attrs().Name, err)
		}
	}
	if err := n.setAnswered(link, r.answered()); err != nil {
		return err
	}
	return n.setServiceRoute(link, r)
}

// setAnswered leaves these addresses on the link.
func (n *Network) setAnswered(link netlink.Link, wanted []netip.Addr) error {
	list, err := n.host.AddrList(link, unix.AF_INET)
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
	}
	missing := slices.Clone(wanted)
	for i := range list {
		if have, ok := netip.AddrFromSlice(list[i].IP.To4()); ok && slices.Contains(wanted, have) {
			missing = slices.DeleteFunc(missing, func(a netip.Addr) bool { return a == have })
			continue
		}
		if err := n.host.AddrDel(link, &list[i]); err != nil {
			return fmt.Errorf("remove address %s: %w", list[i].IP, err)
		}
	}
	for _, a := range missing {
		// The scope keeps the kernel from choosing it as the source of anything else.
		addr := &netlink.Addr{IPNet: hostNet(a), Scope: int(netlink.SCOPE_LINK)}
		if err := n.host.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add address %s: %w", a, err)
		}
	}
	return nil
}

func (n *Network) setServiceRoute(link netlink.Link, r Ranges) error {
	addr := r.Services.Addr()
	dst := &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(r.Services.Bits(), 32)}
	index := link.Attrs().Index
	have, err := n.host.RouteListFiltered(unix.AF_INET, &netlink.Route{LinkIndex: index, Dst: dst}, netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
	if err != nil {
		return fmt.Errorf("list routes of %s: %w", link.Attrs().Name, err)
	}
	if len(have) > 0 {
		return nil
	}
	route := &netlink.Route{LinkIndex: index, Dst: dst, Scope: n.outside().scope}
	if err := n.host.RouteReplace(route); err != nil {
		return fmt.Errorf("add route to %s: %w", r.Services, err)
	}
	return nil
}
