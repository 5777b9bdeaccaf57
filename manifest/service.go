package manifest

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func serviceSelector(obj Object) labels.Selector {
	return mapSelector(obj.(*corev1.Service).Spec.Selector)
}
