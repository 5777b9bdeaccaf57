package state

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// statusTypes numbers the types of Status for the stored form. Numbers are only ever added.
func statusTypes(number uint64) Status {
	switch number {
	case 1:
		return &corev1.PodStatus{}
	case 2:
		return &corev1.NodeStatus{}
	case 3:
		return &appsv1.DeploymentStatus{}
	case 4:
		return &appsv1.ReplicaSetStatus{}
	case 5:
		return &corev1.ServiceStatus{}
	case 6:
		return &corev1.NamespaceStatus{}
	case 7:
		return &corev1.PersistentVolumeClaimStatus{}
	case 8:
		return &corev1.PersistentVolumeStatus{}
	case 9:
		return &appsv1.StatefulSetStatus{}
	case 10:
		return &appsv1.DaemonSetStatus{}
	case 11:
		return &batchv1.JobStatus{}
	case 12:
		return &batchv1.CronJobStatus{}
	case 13:
		return &corev1.ReplicationControllerStatus{}
	case 14:
		return &policyv1.PodDisruptionBudgetStatus{}
	case 15:
		return &autoscalingv2.HorizontalPodAutoscalerStatus{}
	}
	return nil
}

func statusNumber(s Status) uint64 {
	switch s.(type) {
	case *corev1.PodStatus:
		return 1
	case *corev1.NodeStatus:
		return 2
	case *appsv1.DeploymentStatus:
		return 3
	case *appsv1.ReplicaSetStatus:
		return 4
	case *corev1.ServiceStatus:
		return 5
	case *corev1.NamespaceStatus:
		return 6
	case *corev1.PersistentVolumeClaimStatus:
		return 7
	case *corev1.PersistentVolumeStatus:
		return 8
	case *appsv1.StatefulSetStatus:
		return 9
	case *appsv1.DaemonSetStatus:
		return 10
	case *batchv1.JobStatus:
		return 11
	case *batchv1.CronJobStatus:
		return 12
	case *corev1.ReplicationControllerStatus:
		return 13
	case *policyv1.PodDisruptionBudgetStatus:
		return 14
	case *autoscalingv2.HorizontalPodAutoscalerStatus:
		return 15
	}
	return 0
}

// Decided says that a status holds what cannot be computed again, so that it is logged: what a Job has completed,
// when a CronJob ran, which revision a StatefulSet comes from. That of an autoscaler changes with every round of
// measuring, and goes to the log with each size that it decides.
func Decided(s Status) bool {
	switch s.(type) {
	case *appsv1.StatefulSetStatus, *batchv1.JobStatus, *batchv1.CronJobStatus:
		return true
	}
	return false
}

func appendStatus(b []byte, r *Record) ([]byte, error) {
	if r.Status == nil {
		return b, nil
	}
	number := statusNumber(r.Status)
	if number == 0 {
		return nil, fmt.Errorf("encode record %s: no number for status %T", r.Ref, r.Status)
	}
	data, err := r.Status.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", r.Ref, err)
	}
	return appendBlock(appendNumber(b, recordStatusType, number), recordStatus, data), nil
}

// decodeStatus passes over a type of a later version: a status is observed or computed again.
func decodeStatus(number uint64, data []byte) (Status, error) {
	s := statusTypes(number)
	if s == nil {
		return nil, nil
	}
	return s, s.Unmarshal(slices.Clone(data))
}
