package manifest

import (
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
