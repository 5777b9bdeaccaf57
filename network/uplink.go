package network

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// uplink is what links of pods take over from how the node reaches others.
type uplink struct {
	mtu int
	// scope of routes to pods: where the node has an address that others can answer to, one that lets
	// the kernel choose that as the source; else the link's own.
	scope netlink.Scope
}

func (n *Network) outside() uplink {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.uplink
}

// lookOutside reads the uplink anew.
func (n *Network) lookOutside() error {
	u := uplink{mtu: 1500, scope: netlink.SCOPE_LINK}
	list, err := n.host.AddrList(nil, unix.AF_INET)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for i := range list {
		if list[i].Scope == int(netlink.SCOPE_UNIVERSE) {
			u.scope = netlink.SCOPE_UNIVERSE
		}
	}
	link, err := n.uplinkLink()
	if err != nil {
		return err
	}
	if link != nil && link.Attrs().MTU > 0 {
		u.mtu = link.Attrs().MTU
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.uplink = u
	return nil
}

// uplinkLink is the configured link or that of the default route; nil if there is neither.
func (n *Network) uplinkLink() (netlink.Link, error) {
	if name := n.cfg.HostInterface; name != "" {
		link, err := n.host.LinkByName(name)
		if err != nil {
			return nil, fmt.Errorf("find host interface %s: %w", name, err)
		}
		return link, nil
	}
	routes, err := n.host.RouteListFiltered(unix.AF_INET, &netlink.Route{}, netlink.RT_FILTER_DST)
	if err != nil {
		return nil, fmt.Errorf("list default routes: %w", err)
	}
	for _, r := range routes {
		if link, err := n.host.LinkByIndex(r.LinkIndex); err == nil {
			return link, nil
		}
	}
	return nil, nil
}

// widestClash is the shortest prefix that counts as a route to somewhere: shorter ones are default
// routes in parts, as of some VPNs.
const widestClash = 8

// CheckRanges says which route of the node leads into the ranges that the cluster is to use. Routes
// that this node made for its pods do not count.
func (n *Network) CheckRanges(pods, services netip.Prefix) error {
	if pods.Overlaps(services) {
		return fmt.Errorf("pod range %s and service range %s overlap", pods, services)
	}
	routes, err := n.host.RouteList(nil, unix.AF_INET)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	links, err := n.foreignLinks() // after the routes: a route whose link is not there has gone with it
	if err != nil {
		return err
	}
	for _, r := range routes {
		link, foreign := links[r.LinkIndex]
		if r.Dst == nil || !foreign {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		dst := netip.PrefixFrom(addr.Unmap(), bits)
		if !ok || bits < widestClash {
			continue
		}
		for _, c := range []struct {
			what   string
			prefix netip.Prefix
		}{{"pod", pods}, {"service", services}} {
			if c.prefix.Overlaps(dst) {
				return fmt.Errorf("%s range %s clashes with route %s of the node (dev %s): choose another range in writ.yaml", c.what, c.prefix, dst, link)
			}
		}
	}
	return nil
}

// foreignLinks are the names, by index, of the links that are not this node's own.
func (n *Network) foreignLinks() (map[int]string, error) {
	links, err := n.host.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	out := map[int]string{}
	for _, l := range links {
		if a := l.Attrs(); !n.names.own(a.Name) {
			out[a.Index] = a.Name
		}
	}
	return out, nil
}
