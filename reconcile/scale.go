package reconcile

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// scaling says that the size of the Deployment changed since its active ReplicaSets were sized.
func (x *deployment) scaling() bool {
	want := strconv.Itoa(int(x.want()))
	for _, v := range x.all() {
		if before, ok := v.rs.Annotations[desiredAnnotation]; ok && v.replicas() > 0 && before != want {
			return true
		}
	}
	return false
}

// scale is upstream's proportional scaling: in the middle of a rollout every active ReplicaSet gets
// its share of a new size, so that scaling neither hastens nor undoes the rollout.
func (x *deployment) scale() bool {
	var running []*revision
	for _, v := range x.all() {
		if v.replicas() > 0 {
			running = append(running, v)
		}
	}
	want := x.want()
	if len(running) <= 1 {
		return x.scaleOnly(running, want)
	}
	if x.saturated() {
		moved := false
		for _, v := range x.old {
			moved = x.resize(v, 0) || moved
		}
		return moved
	}
	if x.dep.Spec.Strategy.RollingUpdate == nil {
		return false
	}
	return x.share(running, want)
}

// scaleOnly sizes the one active ReplicaSet, or the latest if none is active.
func (x *deployment) scaleOnly(running []*revision, want int32) bool {
	var only *revision
	switch {
	case len(running) == 1:
		only = running[0]
	case x.next != nil:
		only = x.next
	case len(x.old) > 0:
		only = slices.MaxFunc(x.old, func(a, b *revision) int { return a.r.Created.Compare(b.r.Created) })
	default:
		return false
	}
	if only.replicas() == want {
		return false
	}
	x.write(only, want)
	return true
}

func (x *deployment) saturated() bool {
	if x.next == nil {
		return false
	}
	want := x.want()
	return x.next.replicas() == want && x.next.rs.Annotations[desiredAnnotation] == strconv.Itoa(int(want)) && x.next.available == want
}

func (x *deployment) share(running []*revision, want int32) bool {
	allowed := int32(0)
	surge, _ := x.limits()
	if want > 0 {
		allowed = want + surge
	}
	add := allowed - size(running)
	slices.SortStableFunc(running, func(a, b *revision) int {
		age := a.r.Created.Compare(b.r.Created)
		if add > 0 {
			age = -age // up: newer first; down: older first
		}
		return cmp.Or(cmp.Compare(b.replicas(), a.replicas()), age, strings.Compare(a.r.Ref.Name, b.r.Ref.Name))
	})
	sizes := make([]int32, len(running))
	added := int32(0)
	for i, v := range running {
		part := int32(0)
		if add != 0 {
			part = x.proportion(v, add, added)
		}
		sizes[i] = v.replicas() + part
		added += part
	}
	if add != 0 {
		sizes[0] = max(sizes[0]+add-added, 0)
	}
	moved := false
	for i, v := range running {
		before := v.rs
		x.write(v, sizes[i])
		moved = moved || v.rs != before
	}
	return moved
}

// proportion is the share of a ReplicaSet in the replicas that are still to be added or removed.
func (x *deployment) proportion(v *revision, add, added int32) int32 {
	if v.replicas() == 0 || add == 0 || add == added {
		return 0
	}
	surge, _ := x.limits()
	want := x.want()
	part := -v.replicas()
	if want > 0 {
		before := int32(0)
		if n, err := strconv.ParseInt(v.rs.Annotations[maxAnnotation], 10, 32); err == nil && n > 0 {
			before = int32(n)
		} else { // nobody knows: as many as there are
			for _, other := range x.all() {
				before += other.actual
			}
		}
		if before == 0 {
			return 0
		}
		share := float64(v.replicas()) * float64(want+surge) / float64(before)
		part = int32(math.Round(share)) - v.replicas()
	}
	if add > 0 {
		return min(part, add-added)
	}
	return max(part, add-added)
}
