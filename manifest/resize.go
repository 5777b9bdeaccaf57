package manifest

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/registry/core/pod"
)

// podRules are upstream's for Pods, and for a change of resources those of their subresource resize: a commit
// says in one object what clients of an API server say in two requests.
type podRules struct{ strategyRules }

func (r podRules) validateUpdate(obj, old runtime.Object) field.ErrorList {
	now, ok := obj.(*core.Pod)
	before, was := old.(*core.Pod)
	if !ok || !was {
		return r.strategyRules.validateUpdate(obj, old)
	}
	resized := before.DeepCopy()
	resized.Spec.Resources = now.Spec.Resources.DeepCopy()
	takeResources(resized.Spec.InitContainers, now.Spec.InitContainers)
	takeResources(resized.Spec.Containers, now.Spec.Containers)
	if equality.Semantic.DeepEqual(resized.Spec, before.Spec) {
		return r.strategyRules.validateUpdate(obj, old)
	}
	resize := r.strategyRules
	resize.strategy = pod.ResizeStrategy
	return append(resize.validateUpdate(resized, before), r.strategyRules.validateUpdate(now, resized)...)
}

// takeResources gives containers the resources of those of the same name and place.
func takeResources(to, from []core.Container) {
	for i := range min(len(to), len(from)) {
		if to[i].Name == from[i].Name {
			to[i].Resources = *from[i].Resources.DeepCopy()
		}
	}
}
