package reconcile

import (
	daemonutil "k8s.io/kubernetes/pkg/controller/daemon/util"

	"writ/state"
)

// roll brings a new template to the nodes: by ending old Pods within maxUnavailable, whose places manage fills, or by
// making new ones beside them within maxSurge.
func (x *daemonSet) roll() bool {
	surge, unavailable := x.limits()
	if surge == 0 {
		return x.sync(nil, x.outdated(unavailable))
	}
	return x.sync(x.surge(surge))
}

// limits are maxSurge and maxUnavailable in nodes, never both zero.
func (x *daemonSet) limits() (surge, unavailable int) {
	surge, err := daemonutil.SurgeCount(x.ds, x.desired)
	if err != nil {
		surge = 0
	}
	if unavailable, err = daemonutil.UnavailableCount(x.ds, x.desired); err != nil {
		unavailable = 0
	}
	if x.desired > 0 && surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// pair is the one new and the one old Pod of a node; ok is false if there are more of a kind that may go.
func (x *daemonSet) pair(n *daemonNode) (fresh, old *state.Record, ok bool) {
	for _, p := range n.living() {
		into := &old
		if x.updated(p) {
			into = &fresh
		}
		if *into != nil && standsAuthored(p) && standsAuthored(*into) {
			continue
		}
		if *into != nil {
			return nil, nil, false
		}
		*into = p
	}
	return fresh, old, true
}

func (x *daemonSet) available(p *state.Record) bool {
	return x.d.available(p, x.ds.Spec.MinReadySeconds)
}

// outdated are the old Pods that go next: all that are not available, and of the others as many as may be missing.
func (x *daemonSet) outdated(allowed int) (ends []ending) {
	missing := 0
	var healthy []ending
	for _, n := range x.nodes {
		if len(n.pods) == 0 && !n.fit.Runs {
			continue
		}
		fresh, old, ok := x.pair(n)
		switch {
		case !ok, (fresh == nil) == (old == nil):
			missing++
		case fresh != nil:
			if !x.available(fresh) {
				missing++
			}
		case !x.available(old):
			missing++
			ends = append(ends, ending{old, "its template is outdated"})
		default:
			healthy = append(healthy, ending{old, "its template is outdated"})
		}
	}
	return append(ends, healthy[:min(len(healthy), max(0, allowed-missing))]...)
}

// surge are the nodes that get a new Pod beside the old one, and the old Pods that go: those whose new one is
// available, and on nodes that are not to have any as many as others stand in for.
func (x *daemonSet) surge(most int) (create []*daemonNode, ends []ending) {
	var next []*daemonNode
	var unwanted []ending
	surging, there := 0, 0
	for _, n := range x.nodes {
		if len(n.pods) == 0 {
			continue
		}
		fresh, old, ok := x.pair(n)
		if !ok {
			surging++
			continue
		}
		if p := either(old, fresh); p != nil && x.available(p) {
			there++
		}
		switch {
		case old == nil:
		case fresh != nil && !x.available(fresh):
			surging++
		case fresh != nil:
			ends = append(ends, ending{old, "a new one took its place"})
		case !n.fit.Runs && !x.available(old):
			ends = append(ends, ending{old, "its template is outdated"})
		case !n.fit.Runs:
			unwanted = append(unwanted, ending{old, "its template is outdated"})
		case !x.available(old):
			create = append(create, n)
		default:
			next = append(next, n)
		}
	}
	create = append(create, next[:min(len(next), max(0, most-surging))]...)
	return create, append(ends, unwanted[:min(len(unwanted), max(0, there-x.desired))]...)
}

func either(a, b *state.Record) *state.Record {
	if a != nil {
		return a
	}
	return b
}
