package schedule

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"writ/manifest"
)

// amount is what Pods take and nodes have: milli-CPUs, bytes, bytes and a number of Pods, and of whatever else
// there is, huge pages in bytes and devices in numbers, by name. The map is one amount's own, copy makes another,
// and has no zeros: a node lists every size of huge page, and mostly has none, which costs a search nothing.
type amount struct {
	cpu, memory, storage, pods int64
	more                       map[corev1.ResourceName]int64
}

func (a *amount) copy() amount {
	b := *a
	b.more = maps.Clone(a.more)
	return b
}

func (a *amount) empty() bool {
	return a.cpu == 0 && a.memory == 0 && a.storage == 0 && a.pods == 0 && len(a.more) == 0
}

func (a *amount) add(b amount, sign int64) {
	a.cpu += sign * b.cpu
	a.memory += sign * b.memory
	a.storage += sign * b.storage
	a.pods += sign * b.pods
	for name, n := range b.more {
		a.set(name, a.more[name]+sign*n)
	}
}

func (a *amount) set(name corev1.ResourceName, n int64) {
	switch {
	case n == 0:
		delete(a.more, name)
	case a.more == nil:
		a.more = map[corev1.ResourceName]int64{name: n}
	default:
		a.more[name] = n
	}
}

func (a *amount) raise(b amount) {
	a.cpu, a.memory = max(a.cpu, b.cpu), max(a.memory, b.memory)
	a.storage, a.pods = max(a.storage, b.storage), max(a.pods, b.pods)
	for name, n := range b.more {
		if n > a.more[name] {
			a.set(name, n)
		}
	}
}

// fits says that a need of b is covered; what is not asked for is not looked at, so that a node
// that is over-committed still takes Pods that request nothing.
func (a *amount) fits(b amount) bool {
	for name, n := range b.more {
		if n > 0 && n > a.more[name] {
			return false
		}
	}
	return (b.cpu == 0 || b.cpu <= a.cpu) && (b.memory == 0 || b.memory <= a.memory) &&
		(b.storage == 0 || b.storage <= a.storage) && b.pods <= a.pods
}

// amountOf counts a list of resources.
func amountOf(list corev1.ResourceList) amount {
	var a amount
	for name, q := range list {
		switch name {
		case corev1.ResourceCPU:
			a.cpu = q.MilliValue()
		case corev1.ResourceMemory:
			a.memory = q.Value()
		case corev1.ResourceEphemeralStorage:
			a.storage = q.Value()
		case corev1.ResourcePods:
			a.pods = q.Value()
		default:
			a.set(name, q.Value())
		}
	}
	return a
}

// What upstream assumes, for scoring only, of a container that says nothing of what it requests.
const (
	assumedCPU    = 100
	assumedMemory = 200 << 20
)

// need is what one Pod takes of a node.
type need struct {
	amount
	scored amount
	ports  []hostPort
	claims []manifest.Ref
}

// needOf is what a Pod takes. While it is resized, that is the most of what it has and what it is to have.
func needOf(pod *corev1.Pod) need {
	options := resourcehelper.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
	requests := resourcehelper.PodRequests(pod, options)
	n := need{amount: amountOf(requests)}
	n.pods = 1
	n.scored = n.amount
	if options.NonMissingContainerRequests = assumed(pod, requests); options.NonMissingContainerRequests != nil {
		scored := amountOf(resourcehelper.PodRequests(pod, options))
		n.scored.cpu, n.scored.memory = scored.cpu, scored.memory
	}
	n.ports, n.claims = portsOf(pod), claimsOf(pod)
	return n
}

// assumed is what containers of a Pod are taken to request that say nothing, nil if none is: where requests of the
// whole Pod are given, only what neither these nor any container tells.
func assumed(pod *corev1.Pod, requests corev1.ResourceList) corev1.ResourceList {
	whole := resourcehelper.IsPodLevelRequestsSet(pod)
	missing := func(name corev1.ResourceName) bool {
		if _, told := requests[name]; whole && told {
			return false
		}
		silent := func(c corev1.Container) bool { _, told := c.Resources.Requests[name]; return !told }
		return slices.ContainsFunc(pod.Spec.Containers, silent) || slices.ContainsFunc(pod.Spec.InitContainers, silent)
	}
	cpu, memory := missing(corev1.ResourceCPU), missing(corev1.ResourceMemory)
	if !cpu && !memory {
		return nil
	}
	list := corev1.ResourceList{}
	if cpu {
		list[corev1.ResourceCPU] = *resource.NewMilliQuantity(assumedCPU, resource.DecimalSI)
	}
	if memory {
		list[corev1.ResourceMemory] = *resource.NewQuantity(assumedMemory, resource.BinarySI)
	}
	return list
}

func allocatable(s *corev1.NodeStatus) amount {
	if s == nil {
		return amount{}
	}
	return amountOf(s.Allocatable)
}
