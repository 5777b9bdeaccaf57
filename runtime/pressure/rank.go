package pressure

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Rank orders Pods by who goes first when a signal's resource is short: who uses more than it requests, then
// the lower priority, then who uses more above its request. A Pod that could not be measured goes before
// those that could. Equals are in the order of their names.
func Rank(c *Config, s Signal, pods []Pod) []Pod {
	type ranked struct {
		Pod
		known, exceeds bool
		above          int64
	}
	list := make([]ranked, 0, len(pods))
	for _, p := range pods {
		r := ranked{Pod: p, known: p.Usage != nil}
		if r.known {
			used := usedOf(c, s, p.Usage)
			r.above = used - request(p.Object, s.Resource())
			r.exceeds = r.above > 0
		}
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b ranked) int {
		order := cmp.Compare(priority(a.Object), priority(b.Object))
		if s != PIDAvailable { // processes are not requested
			order = cmp.Or(first(!a.known, !b.known), first(a.exceeds, b.exceeds), order)
		}
		return cmp.Or(order, first(!a.known, !b.known), cmp.Compare(b.above, a.above),
			cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
	out := make([]Pod, 0, len(list))
	for _, r := range list {
		out = append(out, r.Pod)
	}
	return out
}

// first orders what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// usedOf is what a Pod uses of what is short. Layers of images are nobody's.
func usedOf(c *Config, s Signal, u *Usage) int64 {
	switch s {
	case MemoryAvailable:
		return u.Memory
	case PIDAvailable:
		return u.PIDs
	case ImageFsAvailable, ImageFsInodesFree:
		if c.ImageFs {
			return 0
		}
	}
	if s.Resource() == Inodes {
		return u.disk().Inodes
	}
	return u.disk().Bytes
}

// request is what a Pod asks for of a resource.
func request(pod *corev1.Pod, name corev1.ResourceName) int64 {
	whole := resourcehelper.IsPodLevelResourcesSet(pod)
	q := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{SkipContainerLevelResources: whole, ExcludeOverhead: true})[name]
	if over, ok := pod.Spec.Overhead[name]; ok && !q.IsZero() {
		q.Add(over)
	}
	return q.Value()
}

func bytes(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.BinarySI) }
