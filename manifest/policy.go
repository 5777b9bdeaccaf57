package manifest

import (
	"reflect"

	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func podDisruptionBudgetSelector(obj Object) labels.Selector {
	return labelSelector(obj.(*policyv1.PodDisruptionBudget).Spec.Selector)
}

func networkPolicySelector(obj Object) labels.Selector {
	return labelSelector(&obj.(*networkingv1.NetworkPolicy).Spec.PodSelector)
}

func budgetTables(whole fields) map[reflect.Type]fields {
	return join(
		rows[policyv1.PodDisruptionBudget](whole),
		rows[policyv1.PodDisruptionBudgetSpec](fields{
			"maxUnavailable": works, "minAvailable": works, "selector": works, "unhealthyPodEvictionPolicy": works,
		}),
	)
}
