package reconcile

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"writ/state"
)

// workloadText shows the status of a workload in a few words, each after a space; false for other kinds.
func workloadText(s state.Status) (string, bool) {
	switch s := s.(type) {
	case *appsv1.ReplicaSetStatus:
		text := fmt.Sprintf(" status=%d/%d/%d", s.Replicas, s.ReadyReplicas, s.AvailableReplicas)
		for _, c := range s.Conditions {
			text += conditionText(string(c.Type), c.Status, c.Reason)
		}
		return text, true
	case *appsv1.DeploymentStatus:
		text := fmt.Sprintf(" status=%d/%d/%d/%d", s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas)
		for _, c := range s.Conditions {
			text += conditionText(string(c.Type), c.Status, c.Reason)
		}
		return text, true
	case *appsv1.StatefulSetStatus:
		text := fmt.Sprintf(" status=%d/%d/%d/%d %s->%s", s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas, s.CurrentRevision, s.UpdateRevision)
		for _, c := range s.Conditions {
			text += conditionText(string(c.Type), c.Status, c.Reason)
		}
		return text, true
	case *appsv1.DaemonSetStatus:
		text := fmt.Sprintf(" status=%d/%d/%d/%d/%d", s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.UpdatedNumberScheduled, s.NumberReady, s.NumberAvailable)
		if s.NumberMisscheduled > 0 {
			text += fmt.Sprintf(" misscheduled=%d", s.NumberMisscheduled)
		}
		for _, c := range s.Conditions {
			text += conditionText(string(c.Type), c.Status, c.Reason)
		}
		return text, true
	case *corev1.ReplicationControllerStatus:
		text := fmt.Sprintf(" status=%d/%d/%d", s.Replicas, s.ReadyReplicas, s.AvailableReplicas)
		for _, c := range s.Conditions {
			text += conditionText(string(c.Type), c.Status, c.Reason)
		}
		return text, true
	case *batchv1.JobStatus:
		return jobText(s), true
	case *batchv1.CronJobStatus:
		text := fmt.Sprintf(" active=%d", len(s.Active))
		if s.LastScheduleTime != nil {
			text += " last=" + s.LastScheduleTime.UTC().Format("2006-01-02T15:04:05")
		}
		return text, true
	case *policyv1.PodDisruptionBudgetStatus:
		return fmt.Sprintf(" healthy=%d/%d of %d allowed=%d", s.CurrentHealthy, s.DesiredHealthy, s.ExpectedPods, s.DisruptionsAllowed), true
	case *autoscalingv2.HorizontalPodAutoscalerStatus:
		text := fmt.Sprintf(" replicas=%d->%d", s.CurrentReplicas, s.DesiredReplicas)
		for _, c := range s.Conditions {
			text += conditionText(string(c.Type), c.Status, c.Reason)
		}
		return text, true
	}
	return "", false
}

func jobText(s *batchv1.JobStatus) string {
	text := fmt.Sprintf(" active=%d succeeded=%d failed=%d", s.Active, s.Succeeded, s.Failed)
	if s.CompletedIndexes != "" {
		text += " completed=" + s.CompletedIndexes
	}
	if failed := deref(s.FailedIndexes); failed != "" {
		text += " failed=" + failed
	}
	for _, c := range s.Conditions {
		text += conditionText(string(c.Type), c.Status, c.Reason)
	}
	return text
}

func conditionText(kind string, status corev1.ConditionStatus, reason string) string {
	return fmt.Sprintf(" %s=%s/%s", kind, status, reason)
}
