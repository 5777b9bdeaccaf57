package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// suspicion is what may differ from what it should be.
type suspicion uint8

const (
	suspectLinks suspicion = 1 << iota // links, addresses, routes, forwarding
	suspectTable
	pendingFlows // flows of detached pods are still tracked
	pendingPorts // pods with host ports got or lost their address
)

// suspect asks the loop to look.
func (n *Network) suspect(s suspicion) {
	n.mu.Lock()
	n.todo |= s
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// suspected takes what was asked for.
func (n *Network) suspected() suspicion {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.todo
	n.todo = 0
	return s
}

// watcher listens to the kernel until it is closed.
type watcher struct {
	sockets []*nl.NetlinkSocket
	closed  atomic.Bool
	ended   sync.WaitGroup
	failed  chan error // why a listener ended although it was not closed
}

// watch asks the loop to look whenever links, addresses, routes or the table change by another hand.
func (n *Network) watch() (*watcher, error) {
	w := &watcher{failed: make(chan error, 2)}
	for _, s := range []struct {
		protocol int
		groups   []uint
		concerns func(*syscall.NetlinkMessage) bool
		suspect  suspicion
	}{
		{unix.NETLINK_ROUTE, []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_TC}, n.concernsLinks, suspectLinks},
		{unix.NETLINK_NETFILTER, []uint{unix.NFNLGRP_NFTABLES}, n.concernsTable, suspectTable},
	} {
		socket, err := nl.SubscribeAt(n.ns, netns.None(), s.protocol, s.groups...)
		if err != nil {
			w.close()
			return nil, fmt.Errorf("listen to the kernel: %w", err)
		}
		w.sockets = append(w.sockets, socket)
		w.ended.Go(func() { w.listen(socket, s.concerns, func() { n.suspect(s.suspect) }) })
	}
	return w, nil
}

func (w *watcher) close() {
	w.closed.Store(true)
	for _, s := range w.sockets {
		s.Close()
	}
	w.ended.Wait()
}

// listen ends when the socket is closed. A notice that did not fit into the socket's buffer counts as
// one that concerns us.
func (w *watcher) listen(socket *nl.NetlinkSocket, concerns func(*syscall.NetlinkMessage) bool, suspect func()) {
	for {
		messages, _, err := socket.Receive()
		switch {
		case w.closed.Load():
			return
		case errors.Is(err, unix.ENOBUFS):
			suspect()
		case err != nil:
			w.failed <- fmt.Errorf("listen to the kernel: %w", err)
			return
		}
		for i := range messages {
			if concerns(&messages[i]) {
				suspect()
				break
			}
		}
	}
}

// concernsLinks picks what takes something away. What is added is our own or does no harm, but for
// addresses.
func (n *Network) concernsLinks(m *syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case unix.RTM_DELADDR, unix.RTM_DELROUTE:
		return true
	case unix.RTM_NEWADDR: // the node may have got its first address that others can answer to
		return len(m.Data) >= unix.SizeofIfAddrmsg && m.Data[3] == unix.RT_SCOPE_UNIVERSE
	case unix.RTM_DELLINK:
		return n.names.own(linkName(m.Data))
	case unix.RTM_NEWLINK:
		down := len(m.Data) >= unix.SizeofIfInfomsg && binary.NativeEndian.Uint32(m.Data[8:])&unix.IFF_UP == 0
		return down && n.names.own(linkName(m.Data))
	case unix.RTM_DELQDISC, unix.RTM_DELTFILTER:
		return n.ownsQueue(m.Data)
	case unix.RTM_NEWNETCONF:
		return forwardingOff(m.Data)
	}
	return false
}

// ownsQueue says whether a notice about a queue or filter is about a link of this node that is still there.
func (n *Network) ownsQueue(data []byte) bool {
	const index = 4 // struct tcmsg
	if len(data) < index+4 {
		return false
	}
	link, err := n.host.LinkByIndex(int(int32(binary.NativeEndian.Uint32(data[index:]))))
	return err == nil && n.names.own(link.Attrs().Name)
}

// forwardingOff says whether a notice is about forwarding having been switched off for all links.
func forwardingOff(data []byte) bool {
	const header, ifindex, forwards = 4, 1, 2 // struct netconfmsg, NETCONFA_IFINDEX, NETCONFA_FORWARDING
	if len(data) < header {
		return false
	}
	attrs, err := nl.ParseRouteAttr(data[header:])
	if err != nil {
		return true
	}
	all, off := false, false
	for _, a := range attrs {
		if len(a.Value) < 4 {
			continue
		}
		value := int32(binary.NativeEndian.Uint32(a.Value))
		all = all || a.Attr.Type == ifindex && value == -1 // NETCONFA_IFINDEX_ALL
		off = off || a.Attr.Type == forwards && value == 0
	}
	return all && off
}

func linkName(data []byte) string {
	if len(data) < unix.SizeofIfInfomsg {
		return ""
	}
	attrs, err := nl.ParseRouteAttr(data[unix.SizeofIfInfomsg:])
	if err != nil {
		return ""
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_IFNAME {
			return unix.ByteSliceToString(a.Value)
		}
	}
	return ""
}

// concernsTable picks changes of the node's table that did not come through its own connection.
func (n *Network) concernsTable(m *syscall.NetlinkMessage) bool {
	return m.Header.Type>>8 == unix.NFNL_SUBSYS_NFTABLES &&
		firstString(m.Data) == n.names.table && m.Header.Pid != n.tablePort.Load()
}
