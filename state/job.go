package state

import (
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// LabelJobPods adds to the labels of a Job's template those by which its Pods are told from all others, as upstream's
// API server generates them. It returns labels of its own; a label that is there already stays. A Job with a manual
// selector gets none.
func LabelJobPods(job *batchv1.Job, uid types.UID) map[string]string {
	labels := maps.Clone(job.Spec.Template.Labels)
	if job.Spec.ManualSelector != nil && *job.Spec.ManualSelector {
		return labels
	}
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range map[string]string{
		batchv1.JobNameLabel: job.Name, "job-name": job.Name,
		batchv1.ControllerUidLabel: string(uid), "controller-uid": string(uid),
	} {
		if _, set := labels[key]; !set {
			labels[key] = value
		}
	}
	return labels
}

// generateSelector shows a Job with the selector and the labels of its Pods, which hold its UID.
func generateSelector(job *batchv1.Job, uid types.UID) {
	if job.Spec.ManualSelector != nil && *job.Spec.ManualSelector {
		return
	}
	job.Spec.Template.Labels = LabelJobPods(job, uid)
	if job.Spec.Selector == nil {
		job.Spec.Selector = &metav1.LabelSelector{}
	}
	if job.Spec.Selector.MatchLabels == nil {
		job.Spec.Selector.MatchLabels = map[string]string{}
	}
	if _, set := job.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !set {
		job.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(uid)
	}
}
