package manifest

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func statefulSetTemplate(obj Object) *corev1.PodTemplateSpec {
	return &obj.(*appsv1.StatefulSet).Spec.Template
}

func statefulSetSelector(obj Object) labels.Selector {
	return labelSelector(obj.(*appsv1.StatefulSet).Spec.Selector)
}
