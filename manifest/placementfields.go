package manifest

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

// placementTables are the fields that say where a pod may run, and beside which others.
func placementTables() map[reflect.Type]fields {
	hard := "requiredDuringSchedulingIgnoredDuringExecution"
	soft := "preferredDuringSchedulingIgnoredDuringExecution"
	both := fields{hard: works, soft: works}
	return join(
		rows[corev1.Affinity](fields{"nodeAffinity": works, "podAffinity": works, "podAntiAffinity": works}),
		rows[corev1.NodeAffinity](both),
		rows[corev1.PodAffinity](both),
		rows[corev1.PodAntiAffinity](both),
		rows[corev1.PodSchedulingGate](fields{"name": works}),
		rows[corev1.NodeSelector](fields{"nodeSelectorTerms": works}),
		rows[corev1.NodeSelectorTerm](fields{"matchExpressions": works, "matchFields": works}),
		rows[corev1.NodeSelectorRequirement](fields{"key": works, "operator": works, "values": works}),
		rows[corev1.PreferredSchedulingTerm](fields{"weight": works, "preference": works}),
		rows[corev1.WeightedPodAffinityTerm](fields{"weight": works, "podAffinityTerm": works}),
		rows[corev1.PodAffinityTerm](fields{
			"labelSelector": works, "matchLabelKeys": works, "mismatchLabelKeys": works,
			"namespaceSelector": works, "namespaces": works, "topologyKey": works,
		}),
	)
}
