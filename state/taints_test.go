package state

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

// What a client sees of a node: what was authored, and what its conditions stand for.
func TestFull_NodeTaints(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	is := func(kind corev1.NodeConditionType, status corev1.ConditionStatus) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: status, LastTransitionTime: at}
	}
	ready := is(corev1.NodeReady, corev1.ConditionTrue)
	tests := map[string]struct {
		authored   []corev1.Taint
		conditions []corev1.NodeCondition // nil: it has not reported
		cordoned   bool
		want       string
	}{
		"healthy":          {conditions: []corev1.NodeCondition{ready, is(corev1.NodeDiskPressure, corev1.ConditionFalse)}},
		"not reported yet": {want: "node.kubernetes.io/not-ready:NoSchedule"},
		"says nothing":     {conditions: []corev1.NodeCondition{is(corev1.NodeDiskPressure, corev1.ConditionFalse)}, want: "node.kubernetes.io/not-ready:NoSchedule"},
		"unreachable":      {conditions: []corev1.NodeCondition{is(corev1.NodeReady, corev1.ConditionUnknown)}, want: "node.kubernetes.io/unreachable:NoSchedule"},
		"pressed": {conditions: []corev1.NodeCondition{ready, is(corev1.NodePIDPressure, corev1.ConditionTrue), is(corev1.NodeMemoryPressure, corev1.ConditionTrue), is(corev1.NodeDiskPressure, corev1.ConditionTrue)},
			want: "node.kubernetes.io/memory-pressure:NoSchedule node.kubernetes.io/disk-pressure:NoSchedule node.kubernetes.io/pid-pressure:NoSchedule"},
		"authored as well": {authored: []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoExecute}, {Key: corev1.TaintNodeDiskPressure, Effect: corev1.TaintEffectNoSchedule}},
			conditions: []corev1.NodeCondition{ready, is(corev1.NodeDiskPressure, corev1.ConditionTrue)}, want: "a:NoExecute node.kubernetes.io/disk-pressure:NoSchedule"},
		"cordoned":                        {conditions: []corev1.NodeCondition{ready}, cordoned: true, want: "node.kubernetes.io/unschedulable:NoSchedule"},
		"cordoned before it has reported": {cordoned: true, want: "node.kubernetes.io/not-ready:NoSchedule node.kubernetes.io/unschedulable:NoSchedule"},
		"cordoned, and authored as well": {authored: []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}},
			conditions: []corev1.NodeCondition{ready}, cordoned: true, want: "node.kubernetes.io/unschedulable:NoSchedule"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := &corev1.Node{Spec: corev1.NodeSpec{Taints: tt.authored, Unschedulable: tt.cordoned}}
			r := &Record{Ref: manifest.NodeRef("n"), Object: n}
			if tt.conditions != nil {
				r.Status = &corev1.NodeStatus{Conditions: tt.conditions}
			}
			var got []string
			full := r.Full().(*corev1.Node)
			for i := range full.Spec.Taints {
				got = append(got, full.Spec.Taints[i].ToString())
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("taints are %q, want %q", text, tt.want)
			}
			if len(n.Spec.Taints) != len(tt.authored) {
				t.Error("the authored object was modified")
			}
		})
	}
}
