package manifest

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func jobTemplate(obj Object) *corev1.PodTemplateSpec {
	return &obj.(*batchv1.Job).Spec.Template
}

func jobSelector(obj Object) labels.Selector {
	return labelSelector(obj.(*batchv1.Job).Spec.Selector)
}
