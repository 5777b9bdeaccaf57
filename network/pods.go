package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"writ/manifest"
)

// pod serialises what is done for one pod.
type pod struct {
	mu        sync.Mutex
	gone      bool // detached: no repair may bring it back
	forgotten bool // another one, or none, stands for the UID now
}

// lockPod is the pod with a UID, made on first use and locked for the caller.
func (n *Network) lockPod(uid string) *pod {
	for {
		n.mu.Lock()
		p := n.pods[uid]
		if p == nil {
			p = &pod{}
			n.pods[uid] = p
		}
		n.mu.Unlock()
		p.mu.Lock()
		if !p.forgotten {
			return p
		}
		p.mu.Unlock()
	}
}

// Attach gives a pod its network namespace, which the caller enters by the returned path, and its
// address. It is idempotent, also after a crash at any point: as long as the pod is attached, it has
// the same of both. It waits until Ready, unless the pod is attached already.
func (n *Network) Attach(ctx context.Context, uid, namespace, name string) (string, netip.Addr, error) {
	if err := checkUID(uid); err != nil {
		return "", netip.Addr{}, fmt.Errorf("attach %s/%s: %w", namespace, name, err)
	}
	p := n.lockPod(uid)
	defer p.mu.Unlock()
	path := n.netnsPath(uid)
	if l := n.pool.get(uid); l != nil && isNetns(path) && n.whole(l.IP) {
		return path, l.IP, nil
	}
	select {
	case <-n.ready:
	case <-ctx.Done():
		return "", netip.Addr{}, fmt.Errorf("attach %s/%s: the ranges of the cluster are not known: %w", namespace, name, context.Cause(ctx))
	}
	n.mu.Lock()
	in := n.ranges.Node
	n.mu.Unlock()
	ip, err := n.pool.acquire(in, uid, namespace, name)
	if err != nil {
		return "", netip.Addr{}, fmt.Errorf("attach %s/%s: %w", namespace, name, err)
	}
	if err := n.hairpin(in, ip); err != nil {
		return "", netip.Addr{}, fmt.Errorf("attach %s/%s at %s: %w", namespace, name, ip, err)
	}
	t := n.traits(uid, namespace, name)
	if err := n.connect(path, ip, t); err != nil {
		return "", netip.Addr{}, fmt.Errorf("attach %s/%s at %s: %w", namespace, name, ip, err)
	}
	p.gone = false
	if t.hostPorts {
		n.move(manifest.PodRef(namespace, name))
	}
	return path, ip, nil
}

// hairpin lets a pod with an address reach itself through a Service.
func (n *Network) hairpin(in netip.Prefix, ip netip.Addr) error {
	n.tableMu.Lock()
	defer n.tableMu.Unlock()
	err := n.table.extend(in, reachFor(in, ip))
	if err != nil {
		n.suspect(suspectTable)
	}
	return err
}

// checkUID refuses what cannot be the name of a file.
func checkUID(uid string) error {
	if uid == "" || uid == "." || uid == ".." || strings.ContainsAny(uid, "/\x00") {
		return fmt.Errorf("%q is no identity of a pod", uid)
	}
	return nil
}

// connect makes the namespace where there is none and the link between it and the node.
func (n *Network) connect(path string, ip netip.Addr, t traits) error {
	if !isNetns(path) {
		if err := makeNetns(path); err != nil {
			return err
		}
	}
	return n.plug(path, ip, t)
}

// Detach takes a pod's network away. It is idempotent. The address is not used again for a minute.
func (n *Network) Detach(_ context.Context, uid string) error {
	if err := checkUID(uid); err != nil {
		return fmt.Errorf("detach pod: %w", err)
	}
	p := n.lockPod(uid)
	defer p.mu.Unlock()
	p.gone = true
	l := n.pool.get(uid)
	var errs []error
	if l != nil {
		errs = append(errs, n.unplug(l.IP))
	}
	errs = append(errs, dropNetns(n.netnsPath(uid)))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("detach pod %s: %w", uid, err)
	}
	if l == nil {
		err := n.pool.release(uid) // it may stand in line for one
		n.forget(uid, p)
		return err
	}
	if err := n.pool.release(uid); err != nil {
		return fmt.Errorf("detach pod %s: %w", uid, err)
	}
	n.forget(uid, p)
	if n.traits(uid, l.Namespace, l.Name).hostPorts {
		n.move(manifest.PodRef(l.Namespace, l.Name))
	}
	n.mu.Lock()
	n.released = append(n.released, l.IP)
	n.mu.Unlock()
	n.suspect(pendingFlows)
	return nil
}

// forget drops the lock of a pod that is gone, which the caller holds. Whoever waits for it looks for
// the pod again.
func (n *Network) forget(uid string, p *pod) {
	p.forgotten = true
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pods, uid)
}
