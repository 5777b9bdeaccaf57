package reconcile

import (
	"slices"

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
	x.finish(next)
	x.conditions(next)
	d.setStatus(r, next, "")
	want := int32(x.end - x.start)
	d.rolledHistory(r, x.update, next.UpdatedReplicas == want && next.AvailableReplicas == want && next.Replicas == want)
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
	switch name := revisionLabel(p); {
	case name == s.CurrentRevision && name == s.UpdateRevision:
		s.CurrentReplicas++
		s.UpdatedReplicas++
	case name == s.CurrentRevision:
		s.CurrentReplicas++
	case name == s.UpdateRevision:
		s.UpdatedReplicas++
	}
}

// finish makes the new revision the one that the set comes from, once all its Pods are of it.
func (x *stateful) finish(s *appsv1.StatefulSetStatus) {
	want := int32(x.end - x.start)
	if x.set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && s.UpdatedReplicas == want && s.ReadyReplicas == want && s.Replicas == want {
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
	if x.condition(s, waitingCondition, waitingReason, waits) {
		x.d.event(x.r, corev1.EventTypeNormal, waitingEvent, statefulSetController, "%s", waits)
	}
	if x.condition(s, failureCondition, "FailedCreate", failure) {
		x.d.event(x.r, corev1.EventTypeWarning, "FailedCreate", statefulSetController, "%s", failure)
	}
}

// failureCondition is the type of the condition by which a StatefulSet says that a Pod cannot be made.
const failureCondition = string(appsv1.ReplicaSetReplicaFailure)

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
		if p == nil {
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

// condition keeps a condition with a message, or none for an empty one, and says that it is new or says something new.
func (x *stateful) condition(s *appsv1.StatefulSetStatus, kind, reason, message string) bool {
	is := func(c appsv1.StatefulSetCondition) bool { return string(c.Type) == kind }
	at := slices.IndexFunc(s.Conditions, is)
	if message == "" {
		if at >= 0 {
			s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), is)
		}
		if len(s.Conditions) == 0 {
			s.Conditions = nil
		}
		return false
	}
	if at >= 0 && s.Conditions[at].Message == message {
		return false
	}
	s.Conditions = append(slices.DeleteFunc(slices.Clone(s.Conditions), is), appsv1.StatefulSetCondition{
		Type: appsv1.StatefulSetConditionType(kind), Status: corev1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: x.d.stamp(),
	})
	return true
}

// statefulCondition is a condition of a status, nil if it has none of that type.
func statefulCondition(s *appsv1.StatefulSetStatus, kind string) *appsv1.StatefulSetCondition {
	for i := range s.Conditions {
		if string(s.Conditions[i].Type) == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}
