package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hostSide is what the node holds of pods, read at once.
type hostSide struct {
	h        *netlink.Handle
	links    map[string]netlink.Link
	gateways map[int]bool   // links that carry the gateway's address
	rates    map[int]uint64 // bytes a second to which links are held
}

func readHostSide(h *netlink.Handle) (hostSide, error) {
	s := hostSide{h: h, links: map[string]netlink.Link{}, gateways: map[int]bool{}, rates: map[int]uint64{}}
	links, err := h.LinkList()
	if err != nil {
		return s, fmt.Errorf("list links: %w", err)
	}
	for _, l := range links {
		s.links[l.Attrs().Name] = l
	}
	list, err := h.AddrList(nil, unix.AF_INET)
	if err != nil {
		return s, fmt.Errorf("list addresses: %w", err)
	}
	s.note(list)
	queues, err := h.QdiscList(nil)
	if err != nil {
		return s, fmt.Errorf("list queues: %w", err)
	}
	for _, q := range queues {
		if tbf, ok := q.(*netlink.Tbf); ok {
			s.rates[tbf.LinkIndex] = tbf.Rate
		}
	}
	return s, nil
}

// note takes in which links carry the gateway's address.
func (s hostSide) note(list []netlink.Addr) {
	for i := range list {
		if list[i].IP.String() == gateway.String() {
			s.gateways[list[i].LinkIndex] = true
		}
	}
}

// whole says whether the node's end of a pod is as it should be. The pod's own end goes with it.
func (s hostSide) whole(name string, ip netip.Addr) bool {
	link := s.links[name]
	if link == nil || link.Attrs().Flags&net.FlagUp == 0 || !s.gateways[link.Attrs().Index] {
		return false
	}
	routes, err := s.h.RouteGet(ip.AsSlice())
	return err == nil && len(routes) > 0 && routes[0].LinkIndex == link.Attrs().Index
}

// whole reads anew whether the node's end of one pod is as it should be.
func (n *Network) whole(ip netip.Addr) bool {
	name := n.names.link(ip)
	link, err := n.host.LinkByName(name)
	if err != nil {
		return false
	}
	list, err := n.host.AddrList(link, unix.AF_INET)
	if err != nil {
		return false
	}
	s := hostSide{h: n.host, links: map[string]netlink.Link{name: link}, gateways: map[int]bool{}}
	s.note(list)
	return s.whole(name, ip)
}

// repairPods connects again every pod whose link or route is gone, and removes links and namespaces
// that no pod has: those of a record that was torn. Pods without a namespace are left to whoever
// attaches them again: the machine was restarted.
func (n *Network) repairPods() error {
	// Leases are read last: what is made for a pod comes after its lease and goes before it.
	side, err := readHostSide(n.host)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(n.netnsDir())
	if err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	links, spaces := map[string]bool{}, map[string]bool{}
	var errs []error
	for _, l := range n.pool.leases() {
		links[n.names.link(l.IP)], links[n.names.outLink(l.IP)], spaces[l.UID] = true, true, true
		unfit := !n.fits(side, l.IP, n.traits(l.UID, l.Namespace, l.Name))
		if unfit || !side.whole(n.names.link(l.IP), l.IP) {
			errs = append(errs, n.repairPod(l, unfit))
		}
	}
	for name := range side.links {
		if (strings.HasPrefix(name, n.names.pods) || strings.HasPrefix(name, n.names.out)) && !links[name] {
			errs = append(errs, dropLink(n.host, name))
		}
	}
	for _, f := range files {
		if !spaces[f.Name()] {
			errs = append(errs, dropNetns(n.netnsPath(f.Name())))
		}
	}
	return errors.Join(errs...)
}

// repairPod connects a pod again if its link is not whole, or if it is known not to be what its traits
// ask for.
func (n *Network) repairPod(l lease, unfit bool) error {
	p := n.lockPod(l.UID)
	defer p.mu.Unlock()
	path := n.netnsPath(l.UID)
	if n.pool.get(l.UID) == nil {
		n.forget(l.UID, p) // it was detached meanwhile
		return nil
	}
	if p.gone || !isNetns(path) {
		return nil
	}
	t := n.traits(l.UID, l.Namespace, l.Name)
	if unfit { // it may have been in the making when it was looked at
		side, err := readHostSide(n.host)
		unfit = err != nil || !n.fits(side, l.IP, t)
	}
	if !unfit && n.whole(l.IP) {
		return nil
	}
	log := n.log.With("pod", l.Namespace+"/"+l.Name, "ip", l.IP)
	// The node's end is set up last: where it is not, the pod's own may not be either.
	if link, err := n.host.LinkByName(n.names.link(l.IP)); err == nil && isPlugged(path, l.IP) {
		var misfit error
		err := n.host.LinkSetUp(link)
		if err == nil {
			misfit, err = n.fit(link, l.IP, t, false), n.plugOutside(link, l.IP)
		}
		if err == nil && n.whole(l.IP) {
			if misfit != nil { // a new link would not get it either, and the pod would be without one
				return fmt.Errorf("repair link of %s/%s: %w", l.Namespace, l.Name, misfit)
			}
			log.Warn("link of pod was not as it should be: repaired")
			return nil
		}
	}
	if err := n.plug(path, l.IP, t); err != nil {
		return fmt.Errorf("repair link of %s/%s: %w", l.Namespace, l.Name, err)
	}
	log.Warn("link of pod was gone: made again")
	return nil
}
