package reconcile

import (
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

func TestAutoscalerHealth(t *testing.T) {
	begun := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	able := autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.AbleToScale, Status: corev1.ConditionTrue, Reason: "SucceededGetScale"}
	active := func(s corev1.ConditionStatus, reason, message string) autoscalingv2.HorizontalPodAutoscalerCondition {
		return autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: s, Reason: reason, Message: message}
	}
	for _, tt := range []struct {
		name       string
		conditions []autoscalingv2.HorizontalPodAutoscalerCondition
		want       State
		why        string
	}{
		{"nothing measured yet", []autoscalingv2.HorizontalPodAutoscalerCondition{able}, Progressing, "waits for its first metrics since 2026-01-01T12:00:00Z"},
		{"measured", []autoscalingv2.HorizontalPodAutoscalerCondition{able, active(corev1.ConditionTrue, "ValidMetricFound", "fine")}, Healthy, ""},
		{"a metric is gone", []autoscalingv2.HorizontalPodAutoscalerCondition{able, active(corev1.ConditionFalse, "FailedGetExternalMetric", "no load")}, Degraded, "no load"},
		{"switched off", []autoscalingv2.HorizontalPodAutoscalerCondition{able, active(corev1.ConditionFalse, "ScalingDisabled", "off")}, Suspended, "off"},
	} {
		r := &state.Record{Created: begun, Status: &autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: tt.conditions}}
		if got, why := autoscalerHealth(r); got != tt.want || why != tt.why {
			t.Errorf("%s: %s %q, want %s %q", tt.name, got, why, tt.want, tt.why)
		}
	}
	failed := &autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{able, active(corev1.ConditionFalse, "FailedGetResourceMetric", "no cpu")}}
	for after, want := range map[time.Duration]State{20 * time.Second: Progressing, 2 * time.Minute: Degraded} {
		r := &state.Record{Created: begun, Status: failed, Scaling: &state.Scaling{Looked: begun.Add(after)}}
		if got, why := autoscalerHealth(r); got != want || why != "no cpu" {
			t.Errorf("measured in vain %s after its beginning: %s %q, want %s", after, got, why, want)
		}
	}
	r := &state.Record{Created: begun, Status: failed, Scaling: &state.Scaling{Looked: begun.Add(20 * time.Second), Scaled: begun.Add(10 * time.Second)}}
	if got, why := autoscalerHealth(r); got != Degraded || why != "no cpu" {
		t.Errorf("a metric that is gone after it was scaled by: %s %q, want Degraded", got, why)
	}
	if got, why := autoscalerHealth(&state.Record{Created: begun}); got != Progressing || why != "waits for its first metrics since 2026-01-01T12:00:00Z" {
		t.Errorf("not looked at: %s %q", got, why)
	}
}
