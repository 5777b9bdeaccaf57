package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
	"writ/state"
)

// Annotations by which a pod is held to a bandwidth, in bits a second.
const (
	ingressAnnotation = "kubernetes.io/ingress-bandwidth"
	egressAnnotation  = "kubernetes.io/egress-bandwidth"
)

// traits are what the link of a pod is made for beside carrying its packets. Two are equal if the
// links need nothing different.
type traits struct {
	hostPorts bool   // the node reaches the pod from 127.0.0.1
	in, out   uint64 // bytes a second to and from the pod; 0: as fast as it goes
}

// traitsOf reads them from a Pod. An annotation that is no bandwidth asks for nothing: the commit with
// it was refused, unless an older version adopted it.
func traitsOf(record *state.Record) traits {
	if record == nil || record.Pod() == nil || record.Pod().Spec.HostNetwork {
		return traits{}
	}
	a := record.Object.GetAnnotations()
	return traits{hostPorts: asksHostPort(record), in: bandwidth(a[ingressAnnotation]), out: bandwidth(a[egressAnnotation])}
}

// bandwidth is what an annotation asks for, in bytes a second.
func bandwidth(text string) uint64 {
	if text == "" {
		return 0
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Value() < 8 {
		return 0
	}
	return uint64(q.Value()) / 8
}

// traits of a pod, as the newest World has it.
func (n *Network) traits(uid, namespace, name string) traits {
	feed := n.feed.Load()
	if feed == nil {
		return traits{}
	}
	r := state.Share((*feed).World(), n.cfg.Node).Pod(namespace, name)
	if r == nil || string(r.UID) != uid {
		return traits{}
	}
	return traitsOf(r)
}

// addressOf is an Addresses.
func (n *Network) addressOf(uid string) netip.Addr {
	if l := n.pool.get(uid); l != nil {
		return l.IP
	}
	return netip.Addr{}
}

// move has the host ports of a pod looked at.
func (n *Network) move(ref manifest.Ref) {
	n.mu.Lock()
	n.moved = append(n.moved, ref)
	n.mu.Unlock()
	n.suspect(pendingPorts)
}

func (n *Network) takeMoved() []manifest.Ref {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.moved
	n.moved = nil
	return list
}

// refit changes the links of attached pods whose traits changed.
func (n *Network) refit(v state.View, changes []state.Change) error {
	var errs []error
	for i := range changes {
		c := &changes[i]
		if c.Ref.Kind != "Pod" || c.Ref.Group != "" || c.Old == nil || c.New == nil || c.Old.UID != c.New.UID ||
			c.Old.Object == c.New.Object || c.New.Node != v.Self() || traitsOf(c.Old) == traitsOf(c.New) {
			continue
		}
		if l := n.pool.get(string(c.New.UID)); l != nil {
			errs = append(errs, n.repairPod(*l, true))
		}
	}
	return errors.Join(errs...)
}

// localnet is the setting by which packets from 127.0.0.1 may leave by a link and their answers come
// back. What a pod itself sends to 127.0.0.0/8 is dropped before it is routed.
func (n *Network) localnet(ip netip.Addr) string {
	return "net.ipv4.conf." + n.names.link(ip) + ".route_localnet"
}

// fit makes the node's end of a pod what its traits ask for. A fresh link has none yet.
func (n *Network) fit(link netlink.Link, ip netip.Addr, t traits, fresh bool) error {
	if t.hostPorts {
		if err := inNetns(n.ns, func() error { return writeSysctl(n.localnet(ip), "1") }); err != nil {
			return fmt.Errorf("open the loopback address to pod: %w", err)
		}
	}
	var errs []error
	if t.in > 0 || !fresh {
		errs = append(errs, n.slow(link, t.in))
	}
	if t.out > 0 || !fresh {
		errs = append(errs, n.slowOut(link, n.names.outLink(ip), t.out))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("hold pod to its bandwidth: %w", err)
	}
	return nil
}

// fits says whether there is nothing for fit to do.
func (n *Network) fits(side hostSide, ip netip.Addr, t traits) bool {
	if t.hostPorts {
		open := ""
		err := inNetns(n.ns, func() (err error) { open, err = readSysctl(n.localnet(ip)); return err })
		if err != nil || open != "1" {
			return false
		}
	}
	link, out := side.links[n.names.link(ip)], side.links[n.names.outLink(ip)]
	if link == nil || side.rates[link.Attrs().Index] != t.in || (out == nil) != (t.out == 0) {
		return false
	}
	return out == nil || out.Attrs().Flags&net.FlagUp != 0 && side.rates[out.Attrs().Index] == t.out && redirects(side.h, link, out)
}
