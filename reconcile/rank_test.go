package reconcile

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/state"
)

// Each row: the Pod that goes first, and one that would be missed more, in upstream's order of rules.
func TestRanking(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	pod := func(change func(*state.Record, *corev1.PodStatus)) *state.Record {
		s := &corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))},
		}}
		r := &state.Record{Ref: manifest.PodRef("default", "p"), UID: "m", Node: "a", Created: now.Add(-time.Hour), Object: &corev1.Pod{}, Status: s}
		if change != nil {
			change(r, s)
		}
		return r
	}
	unready := func(_ *state.Record, s *corev1.PodStatus) { s.Conditions[0].Status = corev1.ConditionFalse }
	tests := map[string]struct{ goes, stays *state.Record }{
		"unbound before bound":     {pod(func(r *state.Record, _ *corev1.PodStatus) { r.Node = "" }), pod(unready)},
		"pending before running":   {pod(func(_ *state.Record, s *corev1.PodStatus) { s.Phase = corev1.PodPending }), pod(unready)},
		"unready before ready":     {pod(unready), pod(costs("-5"))},
		"cheap before dear":        {pod(costs("-5")), pod(nil)},
		"crowded before alone":     {pod(nil), pod(func(r *state.Record, _ *corev1.PodStatus) { r.Node = "b" })},
		"ready later before early": {pod(readySince(now.Add(-time.Minute))), pod(nil)},
		"restarted before steady":  {pod(restarted(3)), pod(restarted(1))},
		"younger before older":     {pod(func(r *state.Record, _ *corev1.PodStatus) { r.Created = now.Add(-time.Minute) }), pod(nil)},
		"about as old: by UID": {pod(func(r *state.Record, _ *corev1.PodStatus) {
			r.UID = types.UID("a")
			r.Created = now.Add(-61 * time.Minute)
		}), pod(nil)},
	}
	k := ranking{d: &draft{now: now}, beside: map[state.Node]int{"a": 2, "b": 1}}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, list := range [][]*state.Record{{test.goes, test.stays}, {test.stays, test.goes}} {
				slices.SortStableFunc(list, k.compare)
				if list[0] != test.goes {
					t.Error("the other one goes first")
				}
			}
		})
	}
}

func costs(n string) func(*state.Record, *corev1.PodStatus) {
	return func(r *state.Record, _ *corev1.PodStatus) {
		r.Object = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.PodDeletionCost: n}}}
	}
}

func readySince(t time.Time) func(*state.Record, *corev1.PodStatus) {
	return func(_ *state.Record, s *corev1.PodStatus) { s.Conditions[0].LastTransitionTime = metav1.NewTime(t) }
}

func restarted(n int32) func(*state.Record, *corev1.PodStatus) {
	return func(_ *state.Record, s *corev1.PodStatus) {
		s.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: n}}
	}
}
