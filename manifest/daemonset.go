package manifest

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func daemonSetTemplate(obj Object) *corev1.PodTemplateSpec {
	return &obj.(*appsv1.DaemonSet).Spec.Template
}

func daemonSetSelector(obj Object) labels.Selector {
	return labelSelector(obj.(*appsv1.DaemonSet).Spec.Selector)
}
