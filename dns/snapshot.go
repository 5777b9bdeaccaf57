package dns

import (
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// snapshot is what all queries of a moment are answered from, with the answers already packed.
type snapshot struct {
	zone    *zone
	answers *answers
}

func newSnapshot(v state.View, r reverse) *snapshot {
	return &snapshot{zone: newZone(v, r), answers: newAnswers()}
}

// board holds the current snapshot.
type board struct{ current atomic.Pointer[snapshot] }

// step publishes the View that changes led to, and does nothing when no name can have changed.
func (b *board) step(v state.View, changes []state.Change) {
	was := b.current.Load()
	if was == nil || was.zone.domain != newZone(v, reverse{}).domain {
		b.reset(v)
		return
	}
	touched, relevant := affected(changes)
	if !relevant && was.zone.known == (v.Adopted().Commit != "") {
		return
	}
	b.current.Store(newSnapshot(v, was.zone.reverse.after(was.zone.view, v, touched)))
}

// reset publishes a View about which nothing is known but itself.
func (b *board) reset(v state.View) { b.current.Store(newSnapshot(v, reversed(v))) }

// affected is the Services whose names may have changed, and whether any name may have.
func affected(changes []state.Change) (touched map[manifest.Ref]bool, relevant bool) {
	touched = map[manifest.Ref]bool{}
	for i := range changes {
		c := &changes[i]
		switch c.Ref.Kind {
		case "Service":
			if c.Old != nil && c.New != nil && c.Old.Object == c.New.Object && c.Old.Allocation == c.New.Allocation {
				continue // only its status
			}
			touched[c.Ref], relevant = true, true
		case "EndpointSlice":
			for _, r := range []*state.Record{c.Old, c.New} {
				if name := state.ServiceOf(r); name != "" {
					touched[manifest.ServiceRef(c.Ref.Namespace, name)], relevant = true, true
				}
			}
		case "Namespace":
			relevant = relevant || (c.Old == nil) != (c.New == nil)
		}
	}
	return touched, relevant
}

func targetOf(v state.View, r *state.Record) (target, bool) {
	if r == nil {
		return target{}, false
	}
	service, ok := r.Object.(*corev1.Service)
	return target{zone: &zone{view: v}, record: r, service: service}, ok
}
