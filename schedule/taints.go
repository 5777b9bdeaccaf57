package schedule

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// effectiveTaints are the authored taints and those that upstream's node lifecycle controller sets
// for conditions, but for those that only ask Pods to stay away.
func effectiveTaints(n *corev1.Node, s *corev1.NodeStatus) []corev1.Taint {
	var taints []corev1.Taint
	if n != nil {
		for _, t := range n.Spec.Taints {
			if t.Effect != corev1.TaintEffectPreferNoSchedule {
				taints = append(taints, t)
			}
		}
	}
	return state.WithConditionTaints(taints, s)
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
