package reconcile

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/state"
)

// generation is that which a record will have once the draft is true: however often the draft changed
// its spec, it counts once.
func (d *draft) generation(r *state.Record) int64 {
	old := d.base.Get(r.Ref)
	if old == nil || old.UID != r.UID {
		return 1
	}
	if state.SameSpec(old.Object, r.Object) {
		return old.Generation
	}
	return old.Generation + 1
}

func (d *draft) replicaSetStatus(r *state.Record) {
	rs, ok := replicaSetOf(r.Object)
	if !ok {
		return
	}
	before := replicaSetStatusOf(r)
	if before == nil {
		before = &appsv1.ReplicaSetStatus{}
	}
	v := d.revision(r)
	next := &appsv1.ReplicaSetStatus{
		Replicas: v.actual, ReadyReplicas: v.ready, AvailableReplicas: v.available,
		Conditions:         before.Conditions,
		ObservedGeneration: d.generation(r),
	}
	template := labels.SelectorFromValidatedSet(rs.Spec.Template.Labels)
	var terminating int32
	for p := range d.w.Owned(r.UID) {
		switch {
		case p.Ref.Kind != "Pod" || terminal(p):
		case p.Deletion != nil:
			terminating++
		case template.Matches(labels.Set(p.Object.GetLabels())):
			next.FullyLabeledReplicas++
		}
	}
	next.TerminatingReplicas = &terminating
	d.replicaFailure(r, rs, next)
	d.replicasWaiting(r, rs, next)
	d.setStatus(r, replicaStatus(r, next), "")
}

// replicaFailure says in the status that Pods of a ReplicaSet are not admitted.
func (d *draft) replicaFailure(r *state.Record, rs *appsv1.ReplicaSet, s *appsv1.ReplicaSetStatus) {
	var err error
	if s.Replicas < r.Replicas(rs.Spec.Replicas) && r.Deletion == nil && !d.uses(r) {
		_, err = d.podOf(r, &rs.Spec.Template)
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	s.Conditions, _ = replicaSetConditions().say(s.Conditions, failureCondition, "FailedCreate", why, d.stamp())
}

// replicasWaiting says in the status what a ReplicaSet waits for.
func (d *draft) replicasWaiting(r *state.Record, rs *appsv1.ReplicaSet, s *appsv1.ReplicaSetStatus) {
	text := ""
	if r.Replicas(rs.Spec.Replicas) > 0 && r.Deletion == nil && !d.uses(r) {
		if waits := d.replicasWait(r); len(waits) > 0 {
			text = waitingText(waits)
		}
	}
	before := ""
	if s.Conditions, before = replicaSetConditions().say(s.Conditions, waitingCondition, waitingReason, text, d.stamp()); before == "" && text != "" {
		d.event(r, corev1.EventTypeNormal, waitingEvent, replicaController(r), "%s", text)
	}
}

func failedBefore(r *state.Record, err error) bool {
	s := replicaSetStatusOf(r)
	return s != nil && replicaSetConditions().says(s.Conditions, failureCondition) == err.Error()
}

func (d *draft) deploymentStatus(r *state.Record) {
	x := d.deployment(r)
	if x == nil {
		return
	}
	before, _ := r.Status.(*appsv1.DeploymentStatus)
	if before == nil {
		before = &appsv1.DeploymentStatus{}
	}
	next := x.counts(before)
	x.availability(next)
	if !x.waiting(next) && !x.goneBack(next) {
		x.progress(before, next)
		x.rollBack(next)
	}
	x.failure(next)
	x.blockage(next)
	d.setStatus(r, next, "")
	x.numbered()
	c := condition(next, appsv1.DeploymentProgressing)
	x.tracked(c != nil && c.Reason == "ProgressDeadlineExceeded" && x.last == nil)
}

// numbered shows the revision of the new ReplicaSet on the Deployment, as upstream annotates it.
func (x *deployment) numbered() {
	if x.next == nil {
		return
	}
	number := x.next.rs.Annotations[revisionAnnotation]
	if number == "" || x.r.Annotations[revisionAnnotation] == number {
		return
	}
	x.d.annotate(x.r, revisionAnnotation, number, "")
}

func (x *deployment) counts(before *appsv1.DeploymentStatus) *appsv1.DeploymentStatus {
	s := &appsv1.DeploymentStatus{
		Conditions: slices.Clone(before.Conditions), CollisionCount: before.CollisionCount,
		ObservedGeneration: x.d.generation(x.r),
	}
	var terminating int32
	for _, v := range x.all() {
		s.Replicas += v.actual
		s.ReadyReplicas += v.ready
		s.AvailableReplicas += v.available
		for p := range x.d.w.Owned(v.r.UID) {
			if p.Deletion != nil && !terminal(p) {
				terminating++
			}
		}
	}
	if x.next != nil {
		s.UpdatedReplicas = x.next.actual
	}
	s.TerminatingReplicas = &terminating
	s.UnavailableReplicas = max(0, size(x.all())-s.AvailableReplicas)
	return s
}

func (x *deployment) availability(s *appsv1.DeploymentStatus) {
	_, unavailable := x.limits()
	if s.AvailableReplicas >= x.want()-unavailable {
		x.set(s, appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		x.set(s, appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
}

// waiting says in the status what the Deployment waits for; no deadline runs meanwhile.
func (x *deployment) waiting(s *appsv1.DeploymentStatus) bool {
	waits := x.waits()
	if len(waits) == 0 || x.d.uses(x.r) {
		s.Conditions = without(s.Conditions, waitingCondition)
		return false
	}
	text := waitingText(waits)
	old := condition(s, waitingCondition)
	if old == nil {
		x.d.event(x.r, corev1.EventTypeNormal, waitingEvent, deploymentController, "%s", text)
	}
	if old == nil || old.Message != text {
		s.Conditions = without(s.Conditions, waitingCondition)
		x.set(s, waitingCondition, corev1.ConditionTrue, waitingReason, text)
	}
	return true
}

// progress keeps the Progressing condition, by which clients wait for a rollout.
func (x *deployment) progress(before, s *appsv1.DeploymentStatus) {
	deadline := x.dep.Spec.ProgressDeadlineSeconds
	if deadline == nil || *deadline == 1<<31-1 {
		s.Conditions = without(s.Conditions, appsv1.DeploymentProgressing)
		return
	}
	current := condition(s, appsv1.DeploymentProgressing)
	if x.pausing(s, current) {
		return
	}
	subject := fmt.Sprintf("Deployment %q", x.r.Ref.Name)
	if x.next != nil {
		subject = fmt.Sprintf("ReplicaSet %q", x.next.r.Ref.Name)
	}
	if s.Replicas == s.UpdatedReplicas && current != nil && current.Reason == "NewReplicaSetAvailable" && !x.begun(s) {
		return
	}
	switch {
	case x.done(s):
		x.set(s, appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetAvailable", subject+" has successfully progressed.")
	case current == nil && x.next == nil:
	case current == nil || x.begun(s) || progressed(before, s):
		x.advance(s, current, subject)
	case x.late(current, time.Duration(*deadline)*time.Second):
		x.set(s, appsv1.DeploymentProgressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", subject+" has timed out progressing.")
	}
}

// begun says that this draft gave the Deployment another template, new or reverted to: a rollout of
// its own, whatever the Pods say yet.
func (x *deployment) begun(s *appsv1.DeploymentStatus) bool {
	if x.next == nil { // Recreate waits for the last old Pod before it makes a ReplicaSet
		c := condition(s, appsv1.DeploymentProgressing)
		return x.dep.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType && !x.d.held(x.r) && c != nil && c.Reason == "NewReplicaSetAvailable"
	}
	if x.done(s) {
		return false
	}
	old := x.d.base.Get(x.next.r.Ref)
	return old == nil || old.UID != x.next.r.UID || revisionOf(old.Object) != revisionOf(x.next.rs)
}

func (x *deployment) done(s *appsv1.DeploymentStatus) bool {
	want := x.want()
	return x.next != nil && s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want
}

func progressed(before, s *appsv1.DeploymentStatus) bool {
	return s.UpdatedReplicas > before.UpdatedReplicas ||
		s.Replicas-s.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		s.ReadyReplicas > before.ReadyReplicas || s.AvailableReplicas > before.AvailableReplicas
}

// advance notes that the rollout got further, which starts its deadline again.
func (x *deployment) advance(s *appsv1.DeploymentStatus, current *appsv1.DeploymentCondition, subject string) {
	now := x.d.stamp()
	c := appsv1.DeploymentCondition{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "ReplicaSetUpdated",
		Message: subject + " is progressing.", LastUpdateTime: now, LastTransitionTime: now,
	}
	if current != nil && current.Status == corev1.ConditionTrue {
		c.LastTransitionTime = current.LastTransitionTime
	}
	s.Conditions = append(without(s.Conditions, c.Type), c)
	x.d.later(now.Add(time.Duration(*x.dep.Spec.ProgressDeadlineSeconds) * time.Second))
}

// late says that a rollout made no progress for the deadline; before, it asks to be called then.
func (x *deployment) late(current *appsv1.DeploymentCondition, deadline time.Duration) bool {
	if current == nil || current.Reason == "NewReplicaSetAvailable" {
		return false
	}
	if current.Reason == "ProgressDeadlineExceeded" {
		return true
	}
	at := current.LastUpdateTime.Add(deadline)
	if at.After(x.d.now) {
		x.d.later(at)
		return false
	}
	return true
}

// pausing keeps the condition of a paused Deployment, to which no deadline applies.
func (x *deployment) pausing(s *appsv1.DeploymentStatus, current *appsv1.DeploymentCondition) bool {
	paused := current != nil && current.Reason == "DeploymentPaused"
	if current != nil && current.Reason == "ProgressDeadlineExceeded" {
		return x.dep.Spec.Paused
	}
	switch {
	case x.dep.Spec.Paused && !paused:
		x.set(s, appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentPaused", "Deployment is paused")
	case !x.dep.Spec.Paused && paused:
		x.set(s, appsv1.DeploymentProgressing, corev1.ConditionUnknown, "DeploymentResumed", "Deployment is resumed")
		*current = *condition(s, appsv1.DeploymentProgressing)
	}
	return x.dep.Spec.Paused
}

// failure shows that Pods of a ReplicaSet are not admitted, the new one's first.
func (x *deployment) failure(s *appsv1.DeploymentStatus) {
	for _, v := range slices.Backward(x.all()) {
		status, ok := v.r.Status.(*appsv1.ReplicaSetStatus)
		if !ok {
			continue
		}
		for _, c := range status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				x.set(s, appsv1.DeploymentReplicaFailure, c.Status, c.Reason, c.Message)
				return
			}
		}
	}
	s.Conditions = without(s.Conditions, appsv1.DeploymentReplicaFailure)
}

// set is upstream's SetDeploymentCondition: the same status and reason change nothing, the same status
// keeps its transition time.
func (x *deployment) set(s *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	now := x.d.stamp()
	c := appsv1.DeploymentCondition{Type: kind, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now}
	if old := condition(s, kind); old != nil {
		if old.Status == status && old.Reason == reason {
			return
		}
		if old.Status == status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	s.Conditions = append(without(s.Conditions, kind), c)
}

func condition(s *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}

func without(conditions []appsv1.DeploymentCondition, kind appsv1.DeploymentConditionType) []appsv1.DeploymentCondition {
	return slices.DeleteFunc(slices.Clone(conditions), func(c appsv1.DeploymentCondition) bool { return c.Type == kind })
}
