package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"writ/manifest"
	"writ/state"
)

// rollout takes a Deployment as far as its rules allow now: steps of upstream's controller, one after
// the other, until none is left.
func (d *draft) rollout(r *state.Record) {
	if r.Deletion != nil {
		return
	}
	d.settleConfig(r)
	held := d.held(r)
	if x := d.deployment(r); x != nil && !held {
		x.claimSets()
		x.read()
		x.listed()
	}
	for range rounds {
		x := d.deployment(d.w.Get(r.Ref))
		if x == nil || d.err != nil || !x.step(held) {
			return
		}
	}
}

// step does one thing and says whether there may be more to do. A Deployment that is held is only
// scaled: what runs stays as it is.
func (x *deployment) step(held bool) bool {
	if x.syncRevision() {
		return true
	}
	if held || x.dep.Spec.Paused || x.scaling() {
		if x.scale() {
			return true
		}
		if held || x.dep.Spec.Paused {
			if x.dep.Spec.Paused {
				x.cleanup()
			}
			return false
		}
	}
	if len(x.waits()) > 0 {
		return false
	}
	var moved bool
	if x.dep.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		moved = x.recreate()
	} else {
		moved = x.rolling()
	}
	if !moved && x.complete() {
		x.cleanup()
	}
	return moved
}

// waits is what a template has to wait for that never ran.
func (x *deployment) waits() []manifest.Ref {
	if x.next != nil || x.dep.Spec.Paused || x.r.Deletion != nil {
		return nil
	}
	return x.d.waitsFor(x.r)
}

// syncRevision brings the annotations and minReadySeconds of an existing new ReplicaSet up to date.
func (x *deployment) syncRevision() bool {
	if x.next == nil {
		return false
	}
	number := max(x.maxOldRevision()+1, revisionOf(x.next.rs))
	annotations := x.annotations(x.next.rs.Annotations, number)
	if maps.Equal(annotations, x.next.rs.Annotations) && x.next.rs.Spec.MinReadySeconds == x.dep.Spec.MinReadySeconds {
		return false
	}
	rs := x.next.rs.DeepCopy()
	rs.Annotations = annotations
	rs.Spec.MinReadySeconds = x.dep.Spec.MinReadySeconds
	x.d.put(state.Put{Ref: x.next.r.Ref, Object: rs, Origin: x.next.r.Origin, Why: "revision " + strconv.FormatInt(number, 10)})
	return true
}

// rolling is the RollingUpdate strategy: up within maxSurge, down within maxUnavailable.
func (x *deployment) rolling() bool {
	if x.next == nil {
		x.create()
		return true
	}
	if x.scaleNew() {
		return true
	}
	return x.scaleOld()
}

// scaleNew brings the new ReplicaSet towards its size.
func (x *deployment) scaleNew() bool {
	want := x.want()
	have := x.next.replicas()
	if have > want {
		return x.resize(x.next, want)
	}
	if x.dep.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		surge, _ := x.limits()
		room := want + surge - size(x.all())
		if room <= 0 {
			return false
		}
		want = min(want, have+room)
	}
	return x.resize(x.next, want)
}

// scaleOld takes old ReplicaSets down: first their Pods that are not available, then the others as
// far as enough stay available.
func (x *deployment) scaleOld() bool {
	if size(x.old) == 0 {
		return false
	}
	_, unavailable := x.limits()
	least := x.want() - unavailable
	spare := size(x.all()) - least - (x.next.replicas() - x.next.available)
	if spare <= 0 {
		return false
	}
	moved := false
	for _, v := range x.leaving() {
		if sick := min(v.replicas()-v.surviving(), spare); sick > 0 {
			spare -= sick
			moved = x.resize(v, v.replicas()-sick) || moved
		}
	}
	if moved {
		return true
	}
	extra := survivors(x.all()) - least
	for _, v := range x.leaving() {
		if down := min(v.replicas(), extra); down > 0 {
			extra -= down
			moved = x.resize(v, v.replicas()-down) || moved
		}
	}
	return moved
}

// recreate ends every old Pod before the first new one.
func (x *deployment) recreate() bool {
	moved, running := false, false
	for _, v := range x.old {
		moved = x.resize(v, 0) || moved
		running = running || v.running
	}
	if moved {
		return true
	}
	if running {
		return false
	}
	if x.next == nil {
		x.create()
		return true
	}
	return x.scaleNew()
}

// limits are maxSurge and maxUnavailable in Pods: percentages of the size are rounded up for the one
// and down for the other, and both are never zero together.
func (x *deployment) limits() (surge, unavailable int32) {
	want := int(x.want())
	if x.dep.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || x.dep.Spec.Strategy.RollingUpdate == nil {
		return 0, 0
	}
	u := x.dep.Spec.Strategy.RollingUpdate
	up, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(u.MaxSurge, intstr.FromInt32(0)), want, true)
	if err != nil {
		up = 0
	}
	down, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(u.MaxUnavailable, intstr.FromInt32(0)), want, false)
	if err != nil {
		down = 0
	}
	if up == 0 && down == 0 {
		down = 1
	}
	return int32(up), int32(min(down, want))
}

// resize gives a ReplicaSet a size and writes down the sizes of the Deployment beside it.
func (x *deployment) resize(v *revision, n int32) bool {
	if v.replicas() == n {
		return false
	}
	x.write(v, n)
	return true
}

func (x *deployment) write(v *revision, n int32) {
	before := v.replicas()
	surge, _ := x.limits()
	want := x.want()
	rs := *v.rs
	rs.Spec.Replicas = &n
	rs.Annotations = maps.Clone(rs.Annotations)
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	rs.Annotations[desiredAnnotation] = strconv.Itoa(int(want))
	rs.Annotations[maxAnnotation] = strconv.Itoa(int(want + surge))
	if n == before && maps.Equal(rs.Annotations, v.rs.Annotations) {
		return
	}
	direction := "up"
	if n < before {
		direction = "down"
	}
	x.d.put(state.Put{Ref: v.r.Ref, Object: &rs, Origin: v.r.Origin, Why: "scaled " + direction})
	if n != before {
		x.d.event(x.r, corev1.EventTypeNormal, "ScalingReplicaSet", deploymentController, "Scaled %s replica set %s from %d to %d", direction, v.r.Ref.Name, before, n)
	}
	v.rs = &rs
}

// complete is upstream's end of a rollout, from the Pods as they are in the draft.
func (x *deployment) complete() bool {
	if x.next == nil {
		return false
	}
	want := x.want()
	for _, v := range x.old {
		if v.replicas() > 0 || v.actual > 0 {
			return false
		}
	}
	return x.next.replicas() == want && x.next.actual == want && x.next.available == want
}

// cleanup removes the oldest empty ReplicaSets beyond revisionHistoryLimit.
func (x *deployment) cleanup() {
	limit := x.dep.Spec.RevisionHistoryLimit
	if limit == nil || *limit == 1<<31-1 {
		return
	}
	excess := len(x.old) - int(*limit)
	if excess <= 0 {
		return
	}
	sets := slices.Clone(x.old)
	slices.SortStableFunc(sets, func(a, b *revision) int { return cmp.Compare(revisionOf(a.rs), revisionOf(b.rs)) })
	for _, v := range sets[:excess] {
		if v.replicas() == 0 && v.actual == 0 && !v.running && !x.kept(v) {
			x.d.delete(v.r, "beyond revisionHistoryLimit")
		}
	}
}
