package network

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What a pod receives is slowed down where it leaves the node's end of the link. What it sends cannot
// be slowed down where it arrives; it is sent through a link of kind ifb, which does nothing but queue.
// Both are on the node's side, where a pod with privileges over its own network does not reach.

// burstTime is how much of a bandwidth may pass at once, and how long a packet waits at most, in
// seconds.
const burstTime = 0.05

const (
	leastBurst = 3200     // bytes: two packets of an Ethernet
	leastQueue = 32 << 10 // bytes: what a slow link still keeps instead of dropping it
)

// bucket is the token bucket of a rate in bytes a second.
func bucket(link int, rate uint64) *netlink.Tbf {
	burst := uint32(min(max(float64(rate)*burstTime, leastBurst), 1<<30))
	queue := min(max(float64(rate)*burstTime, leastQueue)+float64(burst), math.MaxUint32)
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       rate,
		Limit:      uint32(queue),
		Buffer:     uint32(min(netlink.TickInUsec()*netlink.TIME_UNITS_PER_SEC*float64(burst)/float64(rate), math.MaxUint32)),
	}
}

// slow holds what leaves by a link to a rate; 0 to none.
func (n *Network) slow(link netlink.Link, rate uint64) error {
	if rate > 0 {
		if err := n.host.QdiscReplace(bucket(link.Attrs().Index, rate)); err != nil {
			return fmt.Errorf("hold %s to %d bytes/s: %w", link.Attrs().Name, rate, err)
		}
		return nil
	}
	return n.dropQueue(link, bucket(link.Attrs().Index, 1))
}

func (n *Network) dropQueue(link netlink.Link, q netlink.Qdisc) error {
	if err := n.host.QdiscDel(q); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("drop queue of %s: %w", link.Attrs().Name, err)
	}
	return nil
}

// slowOut sends what comes from a pod by link through another link, which is held to a rate; 0 goes
// back to the straight way.
func (n *Network) slowOut(link netlink.Link, name string, rate uint64) error {
	if err := errors.Join(n.dropQueue(link, ingress(link)), dropLink(n.host, name)); err != nil || rate == 0 {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Flags = name, link.Attrs().MTU, net.FlagUp
	if err := n.host.LinkAdd(&netlink.Ifb{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("make link %s: %w", name, err)
	}
	out, err := n.host.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	if err := n.slow(out, rate); err != nil {
		return err
	}
	if err := n.host.QdiscAdd(ingress(link)); err != nil {
		return fmt.Errorf("redirect %s: %w", link.Attrs().Name, err)
	}
	if err := n.host.FilterAdd(redirect(link, out)); err != nil {
		return fmt.Errorf("redirect %s to %s: %w", link.Attrs().Name, name, err)
	}
	return nil
}

// redirects says whether what arrives at one link is sent out of another.
func redirects(h *netlink.Handle, from, to netlink.Link) bool {
	filters, err := h.FilterList(from, ingress(from).Handle)
	return err == nil && slices.ContainsFunc(filters, func(f netlink.Filter) bool {
		u, ok := f.(*netlink.U32)
		return ok && slices.ContainsFunc(u.Actions, func(a netlink.Action) bool {
			m, ok := a.(*netlink.MirredAction)
			return ok && m.Ifindex == to.Attrs().Index
		})
	})
}

// ingress is the queue that filters of what arrives hang on.
func ingress(link netlink.Link) *netlink.Ingress {
	return &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS,
	}}
}

// redirect sends everything that arrives at one link out of another.
func redirect(from, to netlink.Link) *netlink.U32 {
	return &netlink.U32{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: from.Attrs().Index, Parent: ingress(from).Handle, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		ClassId: netlink.MakeHandle(1, 1),
		Actions: []netlink.Action{netlink.NewMirredAction(to.Attrs().Index)},
	}
}
