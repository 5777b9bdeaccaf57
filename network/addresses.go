package network

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
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

// addresses hands out the addresses of the node's pods: those of the range that were never used, and
// then those that have rested longest. It is safe for concurrent use; what it answered is on disk.
// Each call costs the same whatever the size of the range.
type addresses struct {
	dir string
	log *slog.Logger

	mu      sync.Mutex
	byUID   map[string]*lease     // of pods that are attached
	taken   map[netip.Addr]*lease // in use or resting
	resting []*lease              // released, in the order in which they may be used again
	in      netip.Prefix          // the range that fresh and free are about
	fresh   uint32                // index in the range: addresses from here on were not given yet
	free    []netip.Addr          // rested, of those before fresh; the longest rested first
	waiting []*waiter             // in the order in which they came
	timer   *time.Timer           // serves those who wait; nil while nobody does
}

// waiter is a pod for which there was no address.
type waiter struct {
	lease lease
	ready chan struct{} // closed once it is worth asking again
}

// ExhaustedError says that no address is free. The pod keeps its place in the line until it is
// detached: the next address that has rested is kept for it, and then Ready is closed.
type ExhaustedError struct {
	Range         netip.Prefix
	Used, Resting int
	Next          time.Time // when an address may be free for this pod, at the earliest

	ready <-chan struct{}
}

func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("none is free in %s: %d in use, %d released less than %s ago; the next is free at %s or later",
		e.Range, e.Used, e.Resting, quarantine, e.Next.UTC().Format("15:04:05Z"))
}

// RetryAfter is how long it is useless to ask again.
func (e *ExhaustedError) RetryAfter() time.Duration { return max(0, time.Until(e.Next)) }

// Ready is closed once there is an address for the pod.
func (e *ExhaustedError) Ready() <-chan struct{} { return e.ready }

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

// acquire gives a pod its address: the one that it has, or a free one of the range. The error is an
// ExhaustedError if there is none.
func (a *addresses) acquire(in netip.Prefix, uid, namespace, name string) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if in != a.in {
		a.in, a.fresh, a.free = in, 1, nil // the first is the range's own address
	}
	a.serve()
	if l := a.byUID[uid]; l != nil {
		return l.IP, nil
	}
	l := lease{UID: uid, Namespace: namespace, Name: name}
	if len(a.waiting) > 0 && a.place(uid) != 0 {
		return netip.Addr{}, fmt.Errorf("allocate address: %w", a.wait(l))
	}
	ip, ok := a.take()
	if !ok {
		return netip.Addr{}, fmt.Errorf("allocate address: %w", a.wait(l))
	}
	a.leave(uid)
	return ip, a.give(ip, l)
}

// take is a free address.
func (a *addresses) take() (netip.Addr, bool) {
	// The last address of a range is special to some programs, as is the first.
	for a.fresh+1 < size(a.in) {
		ip := addrAt(a.in, a.fresh)
		a.fresh++
		if a.taken[ip] == nil {
			return ip, true
		}
	}
	if len(a.free) == 0 {
		return netip.Addr{}, false
	}
	ip := a.free[0]
	a.free = a.free[1:]
	return ip, true
}

// give makes an address that was taken that of a pod.
func (a *addresses) give(ip netip.Addr, l lease) error {
	l.IP = ip
	if err := writeJSON(a.path(ip), l); err != nil {
		a.free = slices.Insert(a.free, 0, ip)
		return err
	}
	a.taken[ip], a.byUID[l.UID] = &l, &l
	return nil
}

// wait puts a pod at the end of the line, unless it stands there already.
func (a *addresses) wait(l lease) *ExhaustedError {
	at := a.place(l.UID)
	if at < 0 {
		at = len(a.waiting)
		a.waiting = append(a.waiting, &waiter{l, make(chan struct{})})
	}
	e := &ExhaustedError{Range: a.in, Used: len(a.byUID), Resting: len(a.resting), ready: a.waiting[at].ready}
	e.Next = time.Now().Add(quarantine)
	if at < len(a.resting) {
		e.Next = a.resting[at].rested
	}
	a.arm()
	return e
}

// place is where in the line a pod stands, or -1.
func (a *addresses) place(uid string) int {
	return slices.IndexFunc(a.waiting, func(w *waiter) bool { return w.lease.UID == uid })
}

// leave takes a pod out of the line.
func (a *addresses) leave(uid string) {
	if at := a.place(uid); at >= 0 {
		a.waiting = slices.Delete(a.waiting, at, at+1)
	}
}

// release frees the address of a pod for others, a while later.
func (a *addresses) release(uid string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leave(uid)
	l := a.byUID[uid]
	if l == nil {
		a.serve()
		return nil
	}
	now := time.Now()
	free := *l
	free.Released, free.rested = now.UTC(), now.Add(quarantine)
	if err := writeJSON(a.path(l.IP), free); err != nil {
		return err
	}
	delete(a.byUID, uid)
	a.taken[l.IP] = &free
	a.resting = append(a.resting, &free)
	a.serve()
	return nil
}

// serve lets what has rested be used again, first by those who wait.
func (a *addresses) serve() {
	for now := time.Now(); len(a.resting) > 0 && !now.Before(a.resting[0].rested); a.resting = a.resting[1:] {
		ip := a.resting[0].IP
		delete(a.taken, ip)
		if err := os.Remove(a.path(ip)); err != nil && !errors.Is(err, os.ErrNotExist) {
			a.log.Warn("address record stays", "ip", ip, "err", err) // until the address is used again
		}
		if a.in.Contains(ip) && ip.Less(addrAt(a.in, a.fresh)) {
			a.free = append(a.free, ip)
		}
	}
	for len(a.waiting) > 0 {
		ip, ok := a.take()
		if !ok {
			break
		}
		w := a.waiting[0]
		a.waiting = a.waiting[1:]
		if err := a.give(ip, w.lease); err != nil {
			a.log.Warn("address is not kept for a pod that waits", "uid", w.lease.UID, "err", err)
			close(w.ready)
			break // the pod is told when it asks again; the others are served then
		}
		close(w.ready)
	}
	a.arm()
}

// arm has those who wait served when the next address has rested.
func (a *addresses) arm() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if len(a.waiting) > 0 && len(a.resting) > 0 {
		a.timer = time.AfterFunc(time.Until(a.resting[0].rested), func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.serve()
		})
	}
}

// close ends the line: nobody who waits is served any more.
func (a *addresses) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = nil
	a.arm()
}

func (a *addresses) path(ip netip.Addr) string { return filepath.Join(a.dir, ip.String()) }
