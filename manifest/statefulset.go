package manifest

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/apis/apps"
)

func statefulSetTemplate(obj Object) *corev1.PodTemplateSpec {
	return &obj.(*appsv1.StatefulSet).Spec.Template
}

func statefulSetSelector(obj Object) labels.Selector {
	return labelSelector(obj.(*appsv1.StatefulSet).Spec.Selector)
}

// statefulSetRules are upstream's for a StatefulSet, with maxUnavailable, which upstream drops unless its feature
// gate is on.
type statefulSetRules struct{ strategyRules }

func (r statefulSetRules) prepare(obj runtime.Object) {
	keepUnavailable(obj, func() { r.strategyRules.prepare(obj) })
}

func (r statefulSetRules) prepareUpdate(obj, old runtime.Object) {
	keepUnavailable(obj, func() { r.strategyRules.prepareUpdate(obj, old) })
}

func keepUnavailable(obj runtime.Object, prepare func()) {
	u := obj.(*apps.StatefulSet).Spec.UpdateStrategy.RollingUpdate
	if u == nil {
		prepare()
		return
	}
	most := u.MaxUnavailable
	prepare()
	u.MaxUnavailable = most
}
