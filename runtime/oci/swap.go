package oci

import (
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
)

const (
	// swapFile bounds the swap of a cgroup where there is one hierarchy only.
	swapFile = "memory.swap.max"
	// systemCritical is the priority from which on Pods belong to the system.
	systemCritical = 2000000000
)

// limitSwap bounds a container's swap: to none, or to its share of the node's where that is configured.
func limitSwap(m *Machine, pod *corev1.Pod, c *corev1.Container, r *specs.LinuxResources) {
	switch {
	case !m.SwapControl:
	case m.CgroupV2:
		r.Unified = map[string]string{swapFile: strconv.FormatInt(SwapShare(m, pod, c), 10)}
	case r.Memory != nil:
		r.Memory.Swap = r.Memory.Limit // the old controller counts both together
	}
}

// SwapShare is how much a container may swap, in bytes: kubelet's LimitedSwap gives Burstable Pods as much of the swap
// as they ask of the memory.
func SwapShare(m *Machine, pod *corev1.Pod, c *corev1.Container) int64 {
	request, limit := c.Resources.Requests.Memory(), c.Resources.Limits.Memory()
	switch {
	case m.SwapBytes == 0, m.MemoryBytes <= 0:
	case pod.Spec.Priority != nil && *pod.Spec.Priority >= systemCritical:
	case qos.ComputePodQOS(pod) != corev1.PodQOSBurstable, request.Cmp(*limit) == 0, request.Value() > m.MemoryBytes:
	default:
		return int64(float64(request.Value()) / float64(m.MemoryBytes) * float64(m.SwapBytes))
	}
	return 0
}
