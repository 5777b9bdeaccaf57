package reconcile

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// statefulSetStatus states how a StatefulSet is. The revision that it comes from cannot be computed again.
func (d *draft) statefulSetStatus(r *state.Record) {
	x := d.stateful(r)
	if x == nil {
		return
	}
	x.readRevisions()
	before := x.status()
	next := &appsv1.StatefulSetStatus{
		ObservedGeneration: d.generation(r), CollisionCount: &x.collisions, Conditions: before.Conditions,
		CurrentRevision: before.CurrentRevision, UpdateRevision: before.UpdateRevision,
	}
	if x.update != nil {
		next.CurrentRevision, next.UpdateRevision = x.current.Ref.Name, x.update.Ref.Name
	}
	for _, p := range x.at {
		x.count(p, next)
	}
	for _, p := range x.condemned {
		x.count(p, next)
	}
	staying := x.staying()
	x.d.staying(r, "spec.replicas", staying)
	size := int32(x.end - x.start + len(staying))
	x.finish(next, size)
	x.conditions(next)
	d.setStatus(r, next, "")
	x.truncate(next.CurrentRevision)
	d.rolledHistory(r, x.update, next.UpdatedReplicas == size && next.AvailableReplicas == size && next.Replicas == size)
}

// count adds a Pod to a status, as upstream: one that is going counts as a replica, and as ready while it is.
func (x *stateful) count(p *state.Record, s *appsv1.StatefulSetStatus) {
	s.Replicas++
	if runningReady(p) {
		s.ReadyReplicas++
		if x.d.available(p, x.set.Spec.MinReadySeconds) {
			s.AvailableReplicas++
		}
	}
	if p.Deletion != nil {
		return
	}
	name := revisionLabel(p)
	if standsAuthored(p) { // as it is written it is as it should be
		name = s.UpdateRevision
	}
	switch {
	case name == s.CurrentRevision && name == s.UpdateRevision:
		s.CurrentReplicas++
		s.UpdatedReplicas++
	case name == s.CurrentRevision:
		s.CurrentReplicas++
	case name == s.UpdateRevision:
		s.UpdatedReplicas++
	}
}

// finish makes the new revision the one that the set comes from, once all its Pods are of it; size is how many these are.
func (x *stateful) finish(s *appsv1.StatefulSetStatus, size int32) {
	if x.set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && s.UpdatedReplicas == size && s.ReadyReplicas == size && s.Replicas == size {
		s.CurrentReplicas, s.CurrentRevision = s.UpdatedReplicas, s.UpdateRevision
	}
}

// conditions say what the set waits for, and why a Pod cannot be made.
func (x *stateful) conditions(s *appsv1.StatefulSetStatus) {
	waits, failure := "", ""
	if x.r.Deletion == nil && !x.d.uses(x.r) {
		if x.update == nil || !x.holds() {
			if refs := x.d.waitsFor(x.r); len(refs) > 0 {
				waits = waitingText(refs)
			}
		}
		failure = x.failure()
	}
	before := ""
	if s.Conditions, before = statefulConditions().say(s.Conditions, waitingCondition, waitingReason, waits, x.d.stamp()); waits != "" && waits != before {
		x.d.event(x.r, corev1.EventTypeNormal, waitingEvent, statefulSetController, "%s", waits)
	}
	if s.Conditions, before = statefulConditions().say(s.Conditions, failureCondition, "FailedCreate", failure, x.d.stamp()); failure != "" && failure != before {
		x.d.event(x.r, corev1.EventTypeWarning, "FailedCreate", statefulSetController, "%s", failure)
	}
}

// holds says that the latest revision is that of the template.
func (x *stateful) holds() bool {
	found, err := x.versions.find(x.past)
	return err == nil && found != nil
}

// failure is why the next Pod cannot be made, in upstream's words, empty if it can.
func (x *stateful) failure() string {
	if x.update == nil {
		return ""
	}
	for n := x.start; n < x.end; n++ {
		p := x.at[n]
		if p == nil || spent(p) {
			if err := x.obstacle(n); err != nil {
				return "Create Pod " + x.podName(n) + " in StatefulSet " + x.r.Ref.Name + " failed error: " + err.Error()
			}
		}
		if x.ordered() && !x.well(p) {
			return ""
		}
	}
	return ""
}
