package schedule

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// effectiveTaints are the authored taints and those that upstream's node lifecycle controller sets
// for conditions. A node that has not reported yet is not ready.
func effectiveTaints(n *corev1.Node, s *corev1.NodeStatus) []corev1.Taint {
	var taints []corev1.Taint
	if n != nil {
		for _, t := range n.Spec.Taints {
			if t.Effect != corev1.TaintEffectPreferNoSchedule {
				taints = append(taints, t)
			}
		}
	}
	ready := corev1.ConditionFalse
	if s != nil {
		for _, c := range s.Conditions {
			switch {
			case c.Type == corev1.NodeReady:
				ready = c.Status
			case c.Status != corev1.ConditionTrue:
			case c.Type == corev1.NodeMemoryPressure:
				taints = noSchedule(taints, corev1.TaintNodeMemoryPressure)
			case c.Type == corev1.NodeDiskPressure:
				taints = noSchedule(taints, corev1.TaintNodeDiskPressure)
			case c.Type == corev1.NodePIDPressure:
				taints = noSchedule(taints, corev1.TaintNodePIDPressure)
			case c.Type == corev1.NodeNetworkUnavailable:
				taints = noSchedule(taints, corev1.TaintNodeNetworkUnavailable)
			}
		}
	}
	switch ready {
	case corev1.ConditionTrue:
	case corev1.ConditionUnknown:
		taints = noSchedule(taints, corev1.TaintNodeUnreachable)
	default:
		taints = noSchedule(taints, corev1.TaintNodeNotReady)
	}
	return taints
}

func noSchedule(taints []corev1.Taint, key string) []corev1.Taint {
	for _, t := range taints {
		if t.Key == key && t.Effect == corev1.TaintEffectNoSchedule {
			return taints
		}
	}
	return append(taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
}

// untolerated is the first taint that keeps a Pod away, nil if none does.
func untolerated(taints []corev1.Taint, tolerations []corev1.Toleration) *corev1.Taint {
	for i := range taints {
		if !slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool { return Tolerates(&t, &taints[i]) }) {
			return &taints[i]
		}
	}
	return nil
}

// Tolerates is the rule of the toleration's documentation: an empty key with Exists tolerates
// everything, an empty effect every effect.
func Tolerates(t *corev1.Toleration, taint *corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		return t.Key != "" && t.Value == taint.Value
	case corev1.TolerationOpExists:
		return true
	}
	return false
}
