package manifest

import (
	"reflect"

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

func daemonSetTables(whole fields) map[reflect.Type]fields {
	return join(
		rows[appsv1.DaemonSet](whole),
		rows[appsv1.DaemonSetSpec](fields{
			"minReadySeconds": works, "revisionHistoryLimit": works, "selector": works, "template": works, "updateStrategy": works,
		}),
		rows[appsv1.DaemonSetUpdateStrategy](fields{"rollingUpdate": works, "type": works}),
		rows[appsv1.RollingUpdateDaemonSet](fields{"maxSurge": works, "maxUnavailable": works}),
	)
}
