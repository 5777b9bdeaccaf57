package manifest

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/registry/core/pod"
)

// podStrategy is upstream's for Pods, and for a change of resources that of their subresource resize: a commit
// says in one object what clients of an API server say in two requests.
type podStrategy struct{ strategy }

func (s podStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	now, ok := obj.(*core.Pod)
	before, was := old.(*core.Pod)
	if !ok || !was {
		return s.strategy.ValidateUpdate(ctx, obj, old)
	}
	resized := before.DeepCopy()
	resized.Spec.Resources = now.Spec.Resources.DeepCopy()
	takeResources(resized.Spec.InitContainers, now.Spec.InitContainers)
	takeResources(resized.Spec.Containers, now.Spec.Containers)
	if equality.Semantic.DeepEqual(resized.Spec, before.Spec) {
		return s.strategy.ValidateUpdate(ctx, obj, old)
	}
	errs := pod.ResizeStrategy.ValidateUpdate(ctx, resized, before)
	return append(errs, s.strategy.ValidateUpdate(ctx, now, resized)...)
}

// takeResources gives containers the resources of those of the same name and place.
func takeResources(to, from []core.Container) {
	for i := range min(len(to), len(from)) {
		if to[i].Name == from[i].Name {
			to[i].Resources = *from[i].Resources.DeepCopy()
		}
	}
}
