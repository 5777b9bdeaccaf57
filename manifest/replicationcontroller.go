package manifest

import (
	"reflect"

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

func replicationControllerTables(whole fields) map[reflect.Type]fields {
	return join(
		rows[corev1.ReplicationController](whole),
		rows[corev1.ReplicationControllerSpec](fields{"minReadySeconds": works, "replicas": works, "selector": works, "template": works}),
	)
}
