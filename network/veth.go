package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// podLink is the name of the link that a pod sees.
const podLink = "eth0"

// hostNet is an address as a prefix of 32 bits.
func hostNet(ip netip.Addr) *net.IPNet {
	return &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(32, 32)}
}

// plug connects a pod's namespace with the node by a new veth. A veth of an earlier attempt is
// replaced.
func (n *Network) plug(path string, ip netip.Addr, t traits) error {
	if err := n.unplug(ip); err != nil {
		return err
	}
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink of pod: %w", err)
	}
	defer inside.Close()
	if err := dropLink(inside, podLink); err != nil {
		return err
	}
	link := netlink.NewLinkAttrs()
	link.Name, link.MTU, link.Flags = n.names.link(ip), n.outside().mtu, net.FlagUp
	veth := &netlink.Veth{LinkAttrs: link, PeerName: podLink, PeerNamespace: netlink.NsFd(int(ns))}
	if err := n.host.LinkAdd(veth); err != nil {
		return fmt.Errorf("make link %s: %w", link.Name, err)
	}
	if err := errors.Join(n.fit(veth, ip, t, true), plugInside(inside, ip)); err != nil {
		return err
	}
	return n.plugOutside(veth, ip)
}

// plugInside sets up the pod's end: its address, and everything else by way of the gateway.
func plugInside(h *netlink.Handle, ip netip.Addr) error {
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set up lo of pod: %w", err)
	}
	eth, err := h.LinkByName(podLink)
	if err != nil {
		return fmt.Errorf("find link of pod: %w", err)
	}
	if err := h.AddrReplace(eth, &netlink.Addr{IPNet: hostNet(ip)}); err != nil {
		return fmt.Errorf("add address of pod: %w", err)
	}
	if err := h.LinkSetUp(eth); err != nil {
		return fmt.Errorf("set up link of pod: %w", err)
	}
	index := eth.Attrs().Index
	for _, r := range []*netlink.Route{
		{LinkIndex: index, Dst: hostNet(gateway), Scope: netlink.SCOPE_LINK},
		{LinkIndex: index, Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)},
	} {
		if err := h.RouteReplace(r); err != nil {
			return fmt.Errorf("add route %s of pod: %w", r, err)
		}
	}
	return nil
}

// isPlugged says whether the pod's end is as plugInside leaves it.
func isPlugged(path string, ip netip.Addr) bool {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return false
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return false
	}
	defer h.Close()
	eth, err := h.LinkByName(podLink)
	if err != nil || eth.Attrs().Flags&net.FlagUp == 0 {
		return false
	}
	list, err := h.AddrList(eth, unix.AF_INET)
	if err != nil || !slices.ContainsFunc(list, func(a netlink.Addr) bool { return a.IP.String() == ip.String() }) {
		return false
	}
	routes, err := h.RouteList(eth, unix.AF_INET)
	return err == nil && slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Gw.String() == gateway.String() })
}

// plugOutside sets up the node's end: the gateway's address and the route to the pod.
func (n *Network) plugOutside(link netlink.Link, ip netip.Addr) error {
	gw := &netlink.Addr{IPNet: hostNet(gateway), Scope: int(netlink.SCOPE_LINK)}
	if err := n.host.AddrReplace(link, gw); err != nil {
		return fmt.Errorf("add gateway to %s: %w", link.Attrs().Name, err)
	}
	if err := n.host.RouteReplace(n.podRoute(link.Attrs().Index, ip)); err != nil {
		return fmt.Errorf("add route to %s: %w", ip, err)
	}
	// The end that was up first sends nothing until the kernel has noticed, in its own time, that the
	// other is up too. To be asked for the state of the link makes it notice.
	if _, err := n.host.LinkByIndex(link.Attrs().Index); err != nil {
		return fmt.Errorf("read state of %s: %w", link.Attrs().Name, err)
	}
	return nil
}

// podRoute leads to a pod. With a scope wider than the link the kernel speaks to the pod from the
// node's own address instead of the gateway's, where it has one.
func (n *Network) podRoute(index int, ip netip.Addr) *netlink.Route {
	return &netlink.Route{LinkIndex: index, Dst: hostNet(ip), Scope: n.outside().scope}
}

// unplug removes a pod's link, its route with it.
func (n *Network) unplug(ip netip.Addr) error {
	return errors.Join(dropLink(n.host, n.names.link(ip)), dropLink(n.host, n.names.outLink(ip)))
}

func dropLink(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = h.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}
