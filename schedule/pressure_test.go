package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

func TestPlace_Pressure(t *testing.T) {
	under := func(kinds ...corev1.NodeConditionType) []*state.Record {
		return []*state.Record{nodeRecord("a", func(_ *corev1.Node, s *corev1.NodeStatus) {
			for _, kind := range kinds {
				s.Conditions = append(s.Conditions, corev1.NodeCondition{Type: kind, Status: corev1.ConditionTrue})
			}
		})}
	}
	tolerates := func(key string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
		}
	}
	named := func(p *corev1.Pod) { p.Spec.NodeName = "a" }
	critical := func(p *corev1.Pod) { n := int32(systemCritical); p.Spec.Priority = &n; named(p) }
	const refused = "0/1 nodes are available: 1 node(s) had untolerated taint(s) {node.kubernetes.io/"
	tests := map[string]struct {
		nodes []*state.Record
		pod   *corev1.Pod
		to    state.Node
		why   string
	}{
		"memory, best effort": {under(corev1.NodeMemoryPressure), podOf("p", "", "", nil), "", refused + "memory-pressure}."},
		"memory, burstable":   {under(corev1.NodeMemoryPressure), podOf("p", "100m", "", nil), "a", ""},
		"memory, tolerated":   {under(corev1.NodeMemoryPressure), podOf("p", "", "", tolerates(corev1.TaintNodeMemoryPressure)), "a", ""},
		"memory and disk":     {under(corev1.NodeMemoryPressure, corev1.NodeDiskPressure), podOf("p", "100m", "", nil), "", refused + "disk-pressure}."},
		"disk, burstable":     {under(corev1.NodeDiskPressure), podOf("p", "100m", "1Gi", nil), "", refused + "disk-pressure}."},
		"disk, tolerated":     {under(corev1.NodeDiskPressure), podOf("p", "", "", tolerates(corev1.TaintNodeDiskPressure)), "a", ""},
		"processes":           {under(corev1.NodePIDPressure), podOf("p", "1", "", nil), "", refused + "pid-pressure}."},
		"named: disk":         {under(corev1.NodeDiskPressure), podOf("p", "1", "", named), "", "0/1 nodes are available: 1 node(s) had condition: [DiskPressure]."},
		"named: memory, best effort": {under(corev1.NodeMemoryPressure), podOf("p", "", "", named), "",
			"0/1 nodes are available: 1 node(s) had condition: [MemoryPressure]."},
		"named: memory, burstable": {under(corev1.NodeMemoryPressure), podOf("p", "1", "", named), "a", ""},
		"named: critical":          {under(corev1.NodeMemoryPressure, corev1.NodeDiskPressure), podOf("p", "", "", critical), "a", ""},
		"named: another taint":     {under(corev1.NodeNetworkUnavailable), podOf("p", "", "", named), "a", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			to, why := indexOf(tt.nodes...).Place(tt.pod)
			if to != tt.to || why != tt.why {
				t.Errorf("Place = %q, %q, want %q, %q", to, why, tt.to, tt.why)
			}
		})
	}
}
