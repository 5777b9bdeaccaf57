package oci

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	corev1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
)

// The kernel's numbers, as kubelet uses them.
const (
	minShares    = 2
	maxShares    = 262144
	quotaPeriod  = 100000 // microseconds
	minQuota     = 1000   // microseconds
	milliPerCPU  = 1000
	sharesPerCPU = 1024
)

// ContainerResources are a container's limits. Where it has none of its own the Pod's count.
func ContainerResources(m *Machine, pod *corev1.Pod, c *corev1.Container) *specs.LinuxResources {
	limits := ContainerLimits(pod, c)
	request, asked := c.Resources.Requests[corev1.ResourceCPU]
	if !asked {
		request = *limits.Cpu()
	}
	r := &specs.LinuxResources{CPU: cpu(m, request.MilliValue(), limits.Cpu().MilliValue())}
	r.Memory = memory(limits.Memory().Value())
	limitSwap(m, pod, c, r)
	r.HugepageLimits = hugePages(m, limits)
	return r
}

// ContainerLimits are the limits that a container runs under: of what it does not say itself, the Pod's.
func ContainerLimits(pod *corev1.Pod, c *corev1.Container) corev1.ResourceList {
	if !resourcehelper.IsPodLevelResourcesSet(pod) {
		return c.Resources.Limits
	}
	limits := c.Resources.Limits.DeepCopy()
	for name, q := range pod.Spec.Resources.Limits {
		if own := limits[name]; own.IsZero() && resourcehelper.IsSupportedPodLevelResource(name) {
			if limits == nil {
				limits = corev1.ResourceList{}
			}
			limits[name] = q
		}
	}
	return limits
}

// standIns are what counts as a container's limits where it has none: the Pod's, or else the node's allocatable.
func standIns(pod *corev1.Pod, allocatable corev1.ResourceList) corev1.ResourceList {
	if !resourcehelper.IsPodLevelLimitsSet(pod) {
		return allocatable
	}
	list := allocatable.DeepCopy()
	for name, q := range pod.Spec.Resources.Limits {
		if _, has := list[name]; has && !q.IsZero() && resourcehelper.IsSupportedPodLevelResource(name) {
			list[name] = q
		}
	}
	return list
}

// PodResources are the limits of the Pod's cgroup: what the Pod says of itself, else the sum of its containers',
// where all of them have one. What its runtime class takes comes on top.
func PodResources(m *Machine, pod *corev1.Pod) *specs.LinuxResources {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	cpuBound, memoryBound := true, true
	limits := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{
		ContainerFn: func(one corev1.ResourceList, _ resourcehelper.ContainerType) {
			cpuBound = cpuBound && !one.Cpu().IsZero()
			memoryBound = memoryBound && !one.Memory().IsZero()
		},
	})
	if resourcehelper.IsPodLevelResourcesSet(pod) {
		cpuBound = cpuBound || !pod.Spec.Resources.Limits.Cpu().IsZero()
		memoryBound = memoryBound || !pod.Spec.Resources.Limits.Memory().IsZero()
	}
	request, quota := requests.Cpu().MilliValue(), int64(0)
	switch qos.ComputePodQOS(pod) {
	case corev1.PodQOSGuaranteed:
		cpuBound, memoryBound = true, true
	case corev1.PodQOSBestEffort:
		cpuBound, memoryBound, request = false, false, 0
	}
	if cpuBound {
		quota = limits.Cpu().MilliValue()
	}
	r := &specs.LinuxResources{CPU: cpu(m, request, quota), HugepageLimits: hugePages(m, requests)}
	if memoryBound {
		r.Memory = memory(limits.Memory().Value())
		if r.Memory != nil && m.SwapControl && !m.CgroupV2 {
			r.Memory.Swap = r.Memory.Limit
		}
	}
	if m.PIDsLimit > 0 {
		r.Pids = &specs.LinuxPids{Limit: &m.PIDsLimit}
	}
	return r
}

func cpu(m *Machine, request, limit int64) *specs.LinuxCPU {
	shares := uint64(minShares)
	if request > 0 {
		shares = uint64(min(max(request*sharesPerCPU/milliPerCPU, minShares), maxShares))
	}
	out := &specs.LinuxCPU{Shares: &shares}
	if limit > 0 && !m.NoCPUQuota {
		period := m.CPUPeriod
		if period == 0 {
			period = quotaPeriod
		}
		quota := max(limit*int64(period)/milliPerCPU, minQuota)
		out.Period, out.Quota = &period, &quota
	}
	return out
}

func memory(limit int64) *specs.LinuxMemory {
	if limit == 0 {
		return nil
	}
	return &specs.LinuxMemory{Limit: &limit}
}

// hugePages bounds every size of huge pages that the node's cgroups know, those that are not asked for to none.
func hugePages(m *Machine, list corev1.ResourceList) []specs.LinuxHugepageLimit {
	bounds := map[string]uint64{}
	for name, q := range list {
		if !corev1helper.IsHugePageResourceName(name) {
			continue
		}
		size, err := corev1helper.HugePageSizeFromResourceName(name)
		if err != nil {
			continue
		}
		if unit, err := corev1helper.HugePageUnitSizeFromByteSize(size.Value()); err == nil {
			bounds[unit] = uint64(q.Value())
		}
	}
	var out []specs.LinuxHugepageLimit
	for _, size := range slices.Sorted(slices.Values(m.HugePages)) {
		out = append(out, specs.LinuxHugepageLimit{Pagesize: size, Limit: bounds[size]})
	}
	return out
}
