package oci

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
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

// ContainerResources are a container's limits.
func ContainerResources(m *Machine, c *corev1.Container) *specs.LinuxResources {
	request := c.Resources.Requests.Cpu()
	if request.IsZero() {
		request = c.Resources.Limits.Cpu()
	}
	r := &specs.LinuxResources{CPU: cpu(request.MilliValue(), c.Resources.Limits.Cpu().MilliValue())}
	r.Memory = memory(m, c.Resources.Limits.Memory())
	return r
}

// PodResources are the limits of the Pod's cgroup: the sum of its containers',
// where all of them have one.
func PodResources(m *Machine, spec *corev1.PodSpec) *specs.LinuxResources {
	var request, limit, bytes int64
	cpuBound, memoryBound := true, true
	add := func(c *corev1.Container) {
		q := c.Resources.Requests.Cpu().MilliValue()
		if q == 0 {
			q = c.Resources.Limits.Cpu().MilliValue()
		}
		request += q
		limit += c.Resources.Limits.Cpu().MilliValue()
		bytes += c.Resources.Limits.Memory().Value()
		cpuBound = cpuBound && !c.Resources.Limits.Cpu().IsZero()
		memoryBound = memoryBound && !c.Resources.Limits.Memory().IsZero()
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
			continue
		}
		request = max(request, c.Resources.Requests.Cpu().MilliValue())
		limit = max(limit, c.Resources.Limits.Cpu().MilliValue())
		bytes = max(bytes, c.Resources.Limits.Memory().Value())
		cpuBound = cpuBound && !c.Resources.Limits.Cpu().IsZero()
		memoryBound = memoryBound && !c.Resources.Limits.Memory().IsZero()
	}
	if !cpuBound {
		limit = 0
	}
	r := &specs.LinuxResources{CPU: cpu(request, limit)}
	if memoryBound {
		r.Memory = memory(m, resource.NewQuantity(bytes, resource.BinarySI))
	}
	if m.PIDsLimit > 0 {
		r.Pids = &specs.LinuxPids{Limit: &m.PIDsLimit}
	}
	return r
}

func cpu(request, limit int64) *specs.LinuxCPU {
	shares := uint64(minShares)
	if request > 0 {
		shares = uint64(min(max(request*sharesPerCPU/milliPerCPU, minShares), maxShares))
	}
	out := &specs.LinuxCPU{Shares: &shares}
	if limit > 0 {
		period, quota := uint64(quotaPeriod), max(limit*quotaPeriod/milliPerCPU, minQuota)
		out.Period, out.Quota = &period, &quota
	}
	return out
}

func memory(m *Machine, limit *resource.Quantity) *specs.LinuxMemory {
	if limit.IsZero() {
		return nil
	}
	bytes := limit.Value()
	swap := bytes // memory and swap together: no swap
	return &specs.LinuxMemory{Limit: &bytes, Swap: &swap}
}

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
	capacity := max(m.MemoryBytes, 1)
	score := 1000 - 1000*c.Resources.Requests.Memory().Value()/capacity
	if c.RestartPolicy != nil { // a sidecar lives no shorter than what it serves
		score = min(score, 1000-1000*leastRequest(&pod.Spec)/capacity)
	}
	return int(min(max(score, 1000+guaranteedOOMScore), bestEffortOOMScore-1))
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
