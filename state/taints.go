package state

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// conditionTaints are upstream's for each condition of a node.
var conditionTaints = []struct {
	condition corev1.NodeConditionType
	taint     map[corev1.ConditionStatus]string
}{
	{corev1.NodeReady, map[corev1.ConditionStatus]string{corev1.ConditionFalse: corev1.TaintNodeNotReady, corev1.ConditionUnknown: corev1.TaintNodeUnreachable}},
	{corev1.NodeMemoryPressure, map[corev1.ConditionStatus]string{corev1.ConditionTrue: corev1.TaintNodeMemoryPressure}},
	{corev1.NodeDiskPressure, map[corev1.ConditionStatus]string{corev1.ConditionTrue: corev1.TaintNodeDiskPressure}},
	{corev1.NodePIDPressure, map[corev1.ConditionStatus]string{corev1.ConditionTrue: corev1.TaintNodePIDPressure}},
	{corev1.NodeNetworkUnavailable, map[corev1.ConditionStatus]string{corev1.ConditionTrue: corev1.TaintNodeNetworkUnavailable}},
}

// conditionTaintsOf are the taints that the conditions of a node stand for, as upstream's node lifecycle
// controller puts them: no Pod comes that does not tolerate them. A node that says nothing of being ready is not.
func conditionTaintsOf(s *corev1.NodeStatus) []corev1.Taint {
	var taints []corev1.Taint
	for _, one := range conditionTaints {
		c := corev1.NodeCondition{Status: corev1.ConditionFalse}
		if i := slices.IndexFunc(s.Conditions, func(c corev1.NodeCondition) bool { return c.Type == one.condition }); i >= 0 {
			c = s.Conditions[i]
		}
		key := one.taint[c.Status]
		if key == "" {
			continue
		}
		t := corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule}
		if !c.LastTransitionTime.IsZero() {
			at := c.LastTransitionTime
			t.TimeAdded = &at
		}
		taints = append(taints, t)
	}
	return taints
}

// WithConditionTaints adds the taints that the conditions of a node stand for to those that were authored; a node that
// has not reported yet (nil) is not ready. The taints that were given are left as they are.
func WithConditionTaints(taints []corev1.Taint, s *corev1.NodeStatus) []corev1.Taint {
	if s == nil {
		s = &corev1.NodeStatus{}
	}
	taints = slices.Clip(taints)
	for _, t := range conditionTaintsOf(s) {
		taints = withTaint(taints, t)
	}
	return taints
}

// Cordon is the taint that a cordoned node has.
func Cordon() *corev1.Taint {
	return &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
}

// NodeTaints are all taints of a node: those that were authored, and those that upstream's node lifecycle controller
// adds for its conditions (see WithConditionTaints) and for a cordon.
func NodeTaints(n *corev1.Node, s *corev1.NodeStatus) []corev1.Taint {
	taints := WithConditionTaints(n.Spec.Taints, s)
	if n.Spec.Unschedulable {
		taints = withTaint(taints, *Cordon())
	}
	return taints
}

func withTaint(taints []corev1.Taint, t corev1.Taint) []corev1.Taint {
	if slices.ContainsFunc(taints, func(o corev1.Taint) bool { return o.MatchTaint(&t) }) {
		return taints
	}
	return append(taints, t)
}
