package oci

import (
	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
)

// Kubernetes' oom_score_adj: what is asked for is killed last.
const (
	guaranteedOOMScore = -997
	bestEffortOOMScore = 1000
	nodeCritical       = 2000001000 // priority of system-node-critical
)

// OOMScore is a container's oom_score_adj, no lower than the daemon may give.
func OOMScore(m *Machine, pod *corev1.Pod, c *corev1.Container) int {
	return max(oomScore(m, pod, c), m.OOMScoreFloor)
}

func oomScore(m *Machine, pod *corev1.Pod, c *corev1.Container) int {
	class := qos.ComputePodQOS(pod)
	switch {
	case pod.Spec.Priority != nil && *pod.Spec.Priority >= nodeCritical, class == corev1.PodQOSGuaranteed:
		return guaranteedOOMScore
	case class == corev1.PodQOSBestEffort:
		return bestEffortOOMScore
	}
	capacity, share := max(m.MemoryBytes, 1), unclaimedMemory(pod)
	score := 1000 - 1000*(c.Resources.Requests.Memory().Value()+share)/capacity
	if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && isInit(pod, c.Name) { // a sidecar lives no shorter than what it serves
		score = min(score, 1000-1000*(leastRequest(&pod.Spec)+share)/capacity)
	}
	switch {
	case score < 1000+guaranteedOOMScore:
		return 1000 + guaranteedOOMScore
	case score == bestEffortOOMScore:
		return bestEffortOOMScore - 1
	}
	return int(score)
}

// unclaimedMemory is each container's part of the memory that the Pod asks for and no container does, in bytes.
func unclaimedMemory(pod *corev1.Pod) int64 {
	if !resourcehelper.IsPodLevelRequestsSet(pod) || pod.Spec.Resources.Requests.Memory().IsZero() {
		return 0
	}
	claimed := resourcehelper.AggregateContainerRequests(pod, resourcehelper.PodResourcesOptions{})
	rest := pod.Spec.Resources.Requests.Memory().Value() - claimed.Memory().Value()
	return rest / int64(len(pod.Spec.Containers)+len(pod.Spec.InitContainers))
}

func isInit(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return true
		}
	}
	return false
}

func leastRequest(spec *corev1.PodSpec) int64 {
	least := int64(-1)
	for i := range spec.Containers {
		if r := spec.Containers[i].Resources.Requests.Memory().Value(); least < 0 || r < least {
			least = r
		}
	}
	return max(least, 0)
}
