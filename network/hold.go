package network

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// holdLimit is how long after a start removals are held back at most.
const holdLimit = 5 * time.Second

// hold keeps targets that an earlier daemon routed and that the World does not name. What that daemon
// observed last may have been lost with it, so for a moment the World knows less than the kernel. A
// target is kept while whoever runs its pod has not looked at it again, and after that while the pod
// is ready and only its endpoint is not there yet. One whose pod is gone or is to go is never kept.
type hold struct {
	had map[Key][]netip.AddrPort // targets that are pods of this node, as the kernel had them at the start
	pod map[netip.Addr]lease
}

// newHold is nil if there is nothing to keep.
func newHold(had map[Key][]netip.AddrPort, pods []lease) *hold {
	h := &hold{had: map[Key][]netip.AddrPort{}, pod: map[netip.Addr]lease{}}
	for _, l := range pods {
		h.pod[l.IP] = l
	}
	for k, targets := range had {
		for _, t := range targets {
			if _, ours := h.pod[t.Addr()]; ours {
				h.had[k] = append(h.had[k], t)
			}
		}
	}
	if len(h.had) == 0 {
		return nil
	}
	return h
}

// cover adds what is kept to a ruleset of the World. settling are the pods that have not been looked
// at. What is known to be true or to be gone is forgotten: when nothing is left, the hold is over.
func (h *hold) cover(rs Ruleset, v state.View, settling map[string]bool) Ruleset {
	fronts := rs.fronts.Txn()
	for key, had := range h.had {
		f := winner(rs.fronts, key)
		var left, kept []netip.AddrPort
		for _, t := range had {
			l := h.pod[t.Addr()]
			named := f != nil && slices.Contains(f.Targets, t)
			if f == nil || !settling[l.UID] && (named || !isReadyPod(v, l)) || isGoing(v, l) {
				continue
			}
			left = append(left, t)
			if !named {
				kept = append(kept, t)
			}
		}
		if h.had[key] = left; len(left) == 0 {
			delete(h.had, key)
		}
		if len(kept) > 0 {
			held := *f
			held.Targets = slices.SortedFunc(slices.Values(slices.Concat(f.Targets, kept)), netip.AddrPort.Compare)
			fronts.Insert(frontKey(&held), &held)
		}
	}
	return Ruleset{Ranges: rs.Ranges, fronts: fronts.CommitOnly(), byOwner: rs.byOwner}
}

// podOfLease is the Pod that has an address, nil if the World has no such Pod here.
func podOfLease(v state.View, l lease) *state.Record {
	if r := v.Pod(l.Namespace, l.Name); r != nil && string(r.UID) == l.UID {
		return r
	}
	return nil
}

func isGoing(v state.View, l lease) bool {
	r := podOfLease(v, l)
	return r == nil || r.Deletion != nil
}

func isReadyPod(v state.View, l lease) bool {
	r := podOfLease(v, l)
	return r != nil && state.PodIs(r.PodStatus(), corev1.PodReady)
}

// hold begins to keep what an earlier daemon routed, if there is anybody who tells when to stop.
func (l *loop) beginHold() error {
	n := l.n
	pods := n.pool.leases()
	if l.begun || n.cfg.Settling == nil || len(pods) == 0 {
		l.begun = true
		return nil
	}
	n.tableMu.Lock()
	defer n.tableMu.Unlock()
	had, err := n.table.targets()
	if err != nil {
		return err
	}
	l.begun = true
	if l.hold = newHold(had, pods); l.hold != nil {
		l.holdEnd = time.After(n.holdLimit)
	}
	return nil
}

// held is the ruleset to be written where the World's would be world, and how it differs from what
// the kernel holds. deltas say how world differs from that of the step before.
func (l *loop) held(view state.View, world Ruleset, deltas []Delta) (Ruleset, []Delta) {
	if l.hold == nil {
		return world, deltas
	}
	keys := map[Key]bool{}
	for k := range l.hold.had {
		keys[k] = true
	}
	for _, d := range deltas {
		keys[d.key()] = true
	}
	next := world
	if l.holdOver {
		l.endHold()
	} else {
		settling, changed := l.n.cfg.Settling()
		next, l.settled = l.hold.cover(world, view, settling), changed
		if len(l.hold.had) == 0 {
			l.endHold()
		}
	}
	if l.rs.fronts == nil {
		return next, nil
	}
	return next, deltasAt(l.rs, next, keys)
}

func (l *loop) endHold() { l.hold, l.settled, l.holdEnd = nil, nil, nil }

// targets reads where the kernel leads connections to: nowhere if there is no table.
func (k *kernelTable) targets() (map[Key][]netip.AddrPort, error) {
	if err := k.open(); err != nil {
		return nil, err
	}
	elements, err := k.elements(mapEndpoints)
	if errors.Is(err, os.ErrNotExist) {
		return nil, k.close()
	}
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	out := map[Key][]netip.AddrPort{}
	for key, val := range elements {
		if len(key) < 12 || len(val) < 6 { // of another layout
			continue
		}
		front := Key{Addr: addrOf(key), Proto: key[4], Port: binary.BigEndian.Uint16([]byte(key[8:]))}
		out[front] = append(out[front], netip.AddrPortFrom(addrOf(val), binary.BigEndian.Uint16([]byte(val[4:]))))
	}
	return out, nil
}

func addrOf(data string) netip.Addr { return netip.AddrFrom4([4]byte([]byte(data[:4]))) }
