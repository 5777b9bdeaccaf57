package reconcile

import (
	"k8s.io/apimachinery/pkg/util/intstr"

	"writ/state"
)

// roll ends Pods of an older revision, highest ordinal first, so that they are made again of the new one. All that
// are wanted are there; in order, all are available.
func (x *stateful) roll() bool {
	if !x.rolls() {
		return false
	}
	if u := x.set.Spec.UpdateStrategy.RollingUpdate; u != nil && u.MaxUnavailable != nil {
		return x.rollSome(atMost(u.MaxUnavailable, x.end-x.start))
	}
	for n := x.end - 1; n >= x.start+x.partition(); n-- {
		p := x.at[n]
		if x.outdated(p) {
			return x.stop(p, "another revision")
		}
		if !x.well(p) {
			return false
		}
	}
	return false
}

// rollSome ends as many Pods as may be missing beside those that are.
func (x *stateful) rollSome(most int) (moved bool) {
	for n := x.start; n < x.end && most > 0; n++ {
		if !x.well(x.at[n]) {
			most--
		}
	}
	for n := x.end - 1; n >= x.start+x.partition() && most > 0; n-- {
		if p := x.at[n]; x.outdated(p) {
			moved = x.stop(p, "another revision") || moved
			most--
		}
	}
	return moved
}

// outdated says that a Pod stays only until it may go for one of the new revision.
func (x *stateful) outdated(p *state.Record) bool {
	return p != nil && p.Deletion == nil && !asIn(x.update, p)
}

// asIn says that a Pod is as a revision has it. One that is written in the repository is always as it should be.
func asIn(revision, p *state.Record) bool {
	return standsAuthored(p) || revisionLabel(p) == revision.Ref.Name
}

// atMost is upstream's maxUnavailable of a StatefulSet: at least one.
func atMost(unavailable *intstr.IntOrString, replicas int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(unavailable, replicas, false)
	if err != nil {
		return 1
	}
	return max(n, 1)
}
