package reconcile

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"writ/state"
)

func statefulSetHealth(w *state.World, r *state.Record, set *appsv1.StatefulSet) (State, string) {
	s, _ := r.Status.(*appsv1.StatefulSetStatus)
	if s == nil || s.ObservedGeneration < r.Generation {
		return Progressing, "not looked at yet"
	}
	if c := statefulCondition(s, failureCondition); c != nil {
		return Degraded, c.Message
	}
	if c := statefulCondition(s, waitingCondition); c != nil {
		return Progressing, c.Message
	}
	want, partition, rolling := replicasOf(r, set.Spec.Replicas), int32(0), set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType
	if u := set.Spec.UpdateStrategy.RollingUpdate; u != nil {
		partition = deref(u.Partition)
	}
	updates := max(0, want-partition)
	switch {
	case s.Replicas < want:
		return worse(fmt.Sprintf("%d of %d replicas are there", s.Replicas, want), sick(w, r))
	case s.Replicas > want:
		return worse(fmt.Sprintf("%d replicas are pending termination", s.Replicas-want), sick(w, r))
	case rolling && s.UpdatedReplicas < updates:
		return worse(fmt.Sprintf("%d of %d new replicas have been updated", s.UpdatedReplicas, updates), sick(w, r))
	case s.AvailableReplicas < want:
		return worse(fmt.Sprintf("%d of %d replicas are available", s.AvailableReplicas, want), sick(w, r))
	case s.UpdatedReplicas < want && rolling:
		return Healthy, fmt.Sprintf("%d of %d replicas are of the new revision: partition %d", s.UpdatedReplicas, want, partition)
	case s.UpdatedReplicas < want:
		return Healthy, fmt.Sprintf("%d replicas are of an older revision until they are deleted (OnDelete)", want-s.UpdatedReplicas)
	}
	return Healthy, ""
}
