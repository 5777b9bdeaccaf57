package state

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

// What a client sees of a Pod that goes for the sake of its node.
func TestFull_Disruption(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	second := metav1.NewTime(at.Truncate(time.Second))
	earlier := metav1.NewTime(second.Add(-time.Hour))
	evicted := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet", LastTransitionTime: earlier}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	gone := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC",
		Message: "PodGC: node no longer exists", ObservedGeneration: 3, LastTransitionTime: second}
	driven := gone
	driven.Reason, driven.Message = "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
	drained := gone
	drained.Reason, drained.Message = "EvictionByEvictionAPI", "Eviction API: evicting"
	again := driven
	again.LastTransitionTime = earlier
	for name, tt := range map[string]struct {
		reason string // of the Deletion, empty for none
		before corev1.PodCondition
		want   *corev1.PodCondition
	}{
		"stays":                {before: ready},
		"scaled down":          {reason: "scaled down", before: ready},
		"driven out":           {reason: DrivenOut, before: ready, want: &driven},
		"node gone":            {reason: NodeGone, before: ready, want: &gone},
		"drained":              {reason: Evicted, before: ready, want: &drained},
		"evicted":              {reason: "its owner is gone", before: evicted, want: &evicted},
		"evicted, then driven": {reason: DrivenOut, before: evicted, want: &again},
	} {
		t.Run(name, func(t *testing.T) {
			status := &corev1.PodStatus{Conditions: []corev1.PodCondition{tt.before}}
			r := &Record{Ref: manifest.PodRef("default", "p"), Generation: 3, Object: &corev1.Pod{}, Status: status}
			if tt.reason != "" {
				r.Deletion = &Deletion{At: at, Grace: 30, Reason: tt.reason}
			}
			got := PodCondition(&r.Full().(*corev1.Pod).Status, corev1.DisruptionTarget)
			if (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
				t.Errorf("shown: %+v, want %+v", got, tt.want)
			}
			if len(status.Conditions) != 1 || status.Conditions[0] != tt.before {
				t.Errorf("the record was modified: %+v", status.Conditions)
			}
		})
	}
}
