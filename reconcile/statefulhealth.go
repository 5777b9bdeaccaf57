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
	if why := statefulConditions().says(s.Conditions, failureCondition); why != "" {
		return Degraded, why
	}
	if why := statefulConditions().says(s.Conditions, waitingCondition); why != "" {
		return Progressing, why
	}
	want, partition, rolling := r.Replicas(set.Spec.Replicas), int32(0), set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType
	if u := set.Spec.UpdateStrategy.RollingUpdate; u != nil {
		partition = deref(u.Partition)
	}
	updates := max(0, want-partition)
	wanted := want + declaredBeyond(w, r, set, int(want))
	switch {
	case s.Replicas < want:
		return worse(fmt.Sprintf("%d of %d replicas are there", s.Replicas, want), sick(w, r))
	case s.Replicas > wanted:
		return worse(fmt.Sprintf("%d replicas are pending termination", s.Replicas-wanted), sick(w, r))
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

// declaredBeyond is how many Pods of the repository a set has that it does not want: they stay.
func declaredBeyond(w *state.World, r *state.Record, set *appsv1.StatefulSet, want int) (count int32) {
	start := ordinalStart(set)
	for p := range w.Owned(r.UID) {
		if n, ok := ordinalOf(r.Ref.Name, p.Ref); ok && standsAuthored(p) && p.Deletion == nil && (n < start || n >= start+want) {
			count++
		}
	}
	return count
}
