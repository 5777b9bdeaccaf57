package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// poolLimit bounds how many addresses of a node's range are used.
	poolLimit = 1 << 14
	// quarantine is how long a released address stays unused, so that connections and caches that
	// still name it do not reach another pod.
	quarantine = 60 * time.Second
)

// lease is an address of the node's range that belongs to a pod, or did a moment ago. Each is a file
// named after the address.
type lease struct {
	IP        netip.Addr `json:"ip"`
	UID       string     `json:"uid"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Released  time.Time  `json:"released,omitzero"` // zero while the pod has it
}

// addresses hands out the addresses of the node's pods. It is safe for concurrent use; what it
// answered is on disk.
type addresses struct {
	dir string
	now func() time.Time

	mu    sync.Mutex
	byIP  map[netip.Addr]*lease
	byUID map[string]*lease // those that are not released
	next  uint32            // index in the range where the search begins
}

// loadAddresses reads the leases of an earlier daemon. A file that cannot be read holds nothing.
func loadAddresses(dir string, now func() time.Time, log *slog.Logger) (*addresses, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of addresses: %w", err)
	}
	a := &addresses{dir: dir, now: now, byIP: map[netip.Addr]*lease{}, byUID: map[string]*lease{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		l, err := readLease(path)
		if err != nil || a.byUID[l.UID] != nil {
			log.Warn("address record dropped", "file", path, "err", err)
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("drop address record: %w", err)
			}
			continue
		}
		a.byIP[l.IP] = l
		if l.Released.IsZero() {
			a.byUID[l.UID] = l
		}
	}
	return a, nil
}

func readLease(path string) (*lease, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var l lease
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, err
	}
	if checkUID(l.UID) != nil || l.IP.String() != filepath.Base(path) {
		return nil, fmt.Errorf("it is about %q at %s", l.UID, l.IP)
	}
	return &l, nil
}

// get is the lease of a pod, or nil.
func (a *addresses) get(uid string) *lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byUID[uid]
}

// leases are those of attached pods.
func (a *addresses) leases() []lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]lease, 0, len(a.byUID))
	for _, l := range a.byUID {
		out = append(out, *l)
	}
	return out
}

// acquire gives a pod its address: the one that it has, or a free one of the range.
func (a *addresses) acquire(in netip.Prefix, uid, namespace, name string) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.byUID[uid]; l != nil {
		return l.IP, nil
	}
	held := 0
	n := size(in)
	for i := range n {
		index := (a.next + i) % n
		if index == 0 || index == n-1 {
			continue // the range's own address and its last, which some programs take for special
		}
		ip := addrAt(in, index)
		if old := a.byIP[ip]; old != nil {
			if old.Released.IsZero() {
				continue
			}
			if a.now().Sub(old.Released).Abs() < quarantine {
				held++
				continue
			}
		}
		l := &lease{IP: ip, UID: uid, Namespace: namespace, Name: name}
		if err := writeJSON(a.path(ip), l); err != nil {
			return netip.Addr{}, err
		}
		a.byIP[ip], a.byUID[uid], a.next = l, l, index+1
		return ip, nil
	}
	return netip.Addr{}, fmt.Errorf("allocate address: none is free in %s: %d in use, %d released less than %s ago", in, len(a.byUID), held, quarantine)
}

// release frees the address of a pod for others, a while later.
func (a *addresses) release(uid string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.byUID[uid]
	if l == nil {
		return nil
	}
	free := *l
	free.Released = a.now().UTC()
	if err := writeJSON(a.path(l.IP), free); err != nil {
		return err
	}
	delete(a.byUID, uid)
	a.byIP[l.IP] = &free
	return a.sweep()
}

// sweep removes what was released long ago.
func (a *addresses) sweep() error {
	var errs []error
	for ip, l := range a.byIP {
		if !l.Released.IsZero() && a.now().Sub(l.Released).Abs() >= quarantine {
			delete(a.byIP, ip)
			if err := os.Remove(a.path(ip)); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove address record: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

func (a *addresses) path(ip netip.Addr) string { return filepath.Join(a.dir, ip.String()) }
