package reconcile

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// A ReplicationController is what a ReplicaSet was called first: it selects by equality alone, and its
// status has the same facts under a type of its own. It is computed as the ReplicaSet that it stands for.

const replicationController = "replication-controller"

// replicaSetOf is a ReplicaSet, or that which a ReplicationController stands for: it shares its memory.
// It is false for every other kind.
func replicaSetOf(o manifest.Object) (*appsv1.ReplicaSet, bool) {
	rc, ok := o.(*corev1.ReplicationController)
	if !ok {
		rs, ok := o.(*appsv1.ReplicaSet)
		return rs, ok
	}
	rs := &appsv1.ReplicaSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "ReplicaSet"},
		ObjectMeta: rc.ObjectMeta,
		Spec: appsv1.ReplicaSetSpec{
			Replicas: rc.Spec.Replicas, MinReadySeconds: rc.Spec.MinReadySeconds,
			Selector: &metav1.LabelSelector{MatchLabels: rc.Spec.Selector},
		},
	}
	if rc.Spec.Template != nil {
		rs.Spec.Template = *rc.Spec.Template
	}
	return rs, true
}

// replicaSetStatusOf is the status of a ReplicaSet or a ReplicationController, nil if it has none yet.
func replicaSetStatusOf(r *state.Record) *appsv1.ReplicaSetStatus {
	s, ok := r.Status.(*corev1.ReplicationControllerStatus)
	if !ok {
		own, _ := r.Status.(*appsv1.ReplicaSetStatus)
		return own
	}
	same := &appsv1.ReplicaSetStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas, ReadyReplicas: s.ReadyReplicas,
		AvailableReplicas: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
	for _, c := range s.Conditions {
		same.Conditions = append(same.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return same
}

// replicaStatus is a status in the type of its kind.
func replicaStatus(r *state.Record, s *appsv1.ReplicaSetStatus) state.Status {
	if _, ok := r.Object.(*corev1.ReplicationController); !ok {
		return s
	}
	same := &corev1.ReplicationControllerStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas, ReadyReplicas: s.ReadyReplicas,
		AvailableReplicas: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
	for _, c := range s.Conditions {
		same.Conditions = append(same.Conditions, corev1.ReplicationControllerCondition{
			Type: corev1.ReplicationControllerConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return same
}

// replicaController is who speaks in the events of what has replicas.
func replicaController(r *state.Record) string {
	if _, ok := r.Object.(*corev1.ReplicationController); ok {
		return replicationController
	}
	return replicaSetController
}
