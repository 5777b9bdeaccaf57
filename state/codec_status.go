package state

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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
	}
	return 0
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
