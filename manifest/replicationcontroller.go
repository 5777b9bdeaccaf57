package manifest

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func replicationControllerTemplate(obj Object) *corev1.PodTemplateSpec {
	return obj.(*corev1.ReplicationController).Spec.Template
}

func replicationControllerSelector(obj Object) labels.Selector {
	return mapSelector(obj.(*corev1.ReplicationController).Spec.Selector)
}

func podTemplateTemplate(obj Object) *corev1.PodTemplateSpec {
	return &obj.(*corev1.PodTemplate).Template
}
