package state

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of a Deletion for which a Pod that could still run goes, for the sake of its node and not its own.
const (
	DrivenOut = "a taint of its node drives it out"
	NodeGone  = "its node is gone"
	Evicted   = "its node is drained"
)

// disruption is the condition by which upstream tells that a Pod does not go because of what it does, with the
// reasons and messages of the taint and garbage collecting controllers and of the eviction API. It follows from the Deletion, so that nobody
// needs to report it: the node least of all, which may be gone.
func (d *Deletion) disruption() *corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}
	switch {
	case d == nil:
		return nil
	case d.Reason == DrivenOut:
		c.Reason, c.Message = "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
	case d.Reason == NodeGone:
		c.Reason, c.Message = "DeletionByPodGC", "PodGC: node no longer exists"
	case d.Reason == Evicted:
		c.Reason, c.Message = "EvictionByEvictionAPI", "Eviction API: evicting"
	default:
		return nil
	}
	c.LastTransitionTime = metav1.NewTime(d.At.UTC()).Rfc3339Copy()
	return &c
}

// disrupt shows the condition in the status of a Pod. One that the node states already, as it was short of something,
// keeps its time.
func (d *Deletion) disrupt(pod *corev1.Pod) {
	c := d.disruption()
	if c == nil {
		return
	}
	c.ObservedGeneration = pod.Generation
	if old := PodCondition(&pod.Status, c.Type); old != nil {
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = *c
		return
	}
	pod.Status.Conditions = append(pod.Status.Conditions, *c)
}
