package oci

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts reads "cpu=1 memory=2Gi".
func amounts(pairs ...string) corev1.ResourceList {
	if len(pairs) == 0 {
		return nil
	}
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func needs(name string, requests, limits corev1.ResourceList) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}
}

func always(c corev1.Container) corev1.Container {
	policy := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &policy
	return c
}

// asked are Pods whose resources come to something of every kind.
func asked() map[string]*corev1.Pod {
	pod := func(spec corev1.PodSpec) *corev1.Pod { return &corev1.Pod{Spec: spec} }
	whole := amounts("cpu", "1", "memory", "1Gi")
	return map[string]*corev1.Pod{
		"best effort": pod(corev1.PodSpec{Containers: []corev1.Container{needs("a", nil, nil)}}),
		"guaranteed":  pod(corev1.PodSpec{Containers: []corev1.Container{needs("a", whole, whole), needs("b", whole, whole)}}),
		"one of two has limits": pod(corev1.PodSpec{Containers: []corev1.Container{
			needs("a", whole, whole), needs("b", amounts("memory", "64Mi"), nil)}}),
		"burstable": pod(corev1.PodSpec{Containers: []corev1.Container{
			needs("a", amounts("cpu", "250m", "memory", "512Mi"), amounts("cpu", "2", "memory", "2Gi"))}}),
		"tiny": pod(corev1.PodSpec{Containers: []corev1.Container{needs("a", amounts("cpu", "1m"), amounts("cpu", "1m"))}}),
		"large init container": pod(corev1.PodSpec{
			InitContainers: []corev1.Container{needs("i", amounts("cpu", "3", "memory", "3Gi"), amounts("cpu", "3", "memory", "3Gi"))},
			Containers:     []corev1.Container{needs("a", amounts("cpu", "1", "memory", "1Gi"), amounts("cpu", "2", "memory", "2Gi"))}}),
		"sidecar": pod(corev1.PodSpec{
			InitContainers: []corev1.Container{always(needs("s", amounts("cpu", "100m", "memory", "64Mi"), amounts("cpu", "200m", "memory", "128Mi"))),
				needs("i", amounts("cpu", "900m"), amounts("cpu", "1"))},
			Containers: []corev1.Container{needs("a", amounts("cpu", "500m", "memory", "2Gi"), amounts("cpu", "1", "memory", "4Gi")),
				needs("b", amounts("memory", "1Gi"), amounts("cpu", "1", "memory", "4Gi"))}}),
		"pod level": pod(corev1.PodSpec{Resources: &corev1.ResourceRequirements{Requests: amounts("cpu", "1", "memory", "2Gi"), Limits: amounts("cpu", "2", "memory", "4Gi")},
			InitContainers: []corev1.Container{always(needs("s", amounts("memory", "128Mi"), nil))},
			Containers:     []corev1.Container{needs("a", amounts("memory", "512Mi"), nil), needs("b", nil, nil)}}),
		"pod level guaranteed": pod(corev1.PodSpec{Resources: &corev1.ResourceRequirements{Requests: whole, Limits: whole},
			Containers: []corev1.Container{needs("a", nil, nil)}}),
		"overhead": pod(corev1.PodSpec{Overhead: amounts("cpu", "250m", "memory", "120Mi"), Containers: []corev1.Container{needs("a", whole, amounts("cpu", "2", "memory", "2Gi"))}}),
		"huge pages": pod(corev1.PodSpec{Containers: []corev1.Container{
			needs("a", amounts("memory", "1Gi", "hugepages-2Mi", "100Mi"), amounts("memory", "1Gi", "hugepages-2Mi", "100Mi"))}}),
	}
}

// The limits of a Pod's cgroup, as kubelet's ResourceConfigForPod comes to them.
func TestPodResources(t *testing.T) {
	type row struct {
		Shares              uint64
		Quota, Memory, Huge int64
	}
	want := map[string]row{
		"best effort":           {Shares: 2},
		"guaranteed":            {2048, 200000, 2 << 30, 0},
		"one of two has limits": {Shares: 1024},
		"burstable":             {256, 200000, 2 << 30, 0},
		"tiny":                  {Shares: 2, Quota: 1000},
		"large init container":  {3072, 300000, 3 << 30, 0},
		"sidecar":               {1024, 220000, 8<<30 + 128<<20, 0}, // its init container has no limit of memory
		"pod level":             {1024, 200000, 4 << 30, 0},
		"pod level guaranteed":  {1024, 100000, 1 << 30, 0},
		"overhead":              {1280, 225000, 2<<30 + 120<<20, 0},
		"huge pages":            {2, 0, 1 << 30, 100 << 20},
	}
	for name, pod := range asked() {
		m := &Machine{SwapControl: true, HugePages: []string{"2MB"}, PIDsLimit: 100}
		r := PodResources(m, pod)
		got := row{Shares: *r.CPU.Shares, Huge: int64(r.HugepageLimits[0].Limit)}
		if r.CPU.Quota != nil {
			got.Quota = *r.CPU.Quota
		}
		if r.Memory != nil {
			got.Memory = *r.Memory.Limit
			if *r.Memory.Swap != got.Memory {
				t.Errorf("%s: memory and swap are %d, want no swap", name, *r.Memory.Swap)
			}
		}
		if diff := cmp.Diff(want[name], got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if *r.Pids.Limit != 100 {
			t.Errorf("%s: pids %d, want 100", name, *r.Pids.Limit)
		}
	}
	short := PodResources(&Machine{CPUPeriod: 20000}, asked()["burstable"])
	if *short.CPU.Period != 20000 || *short.CPU.Quota != 40000 || short.Pids != nil {
		t.Errorf("a shorter period gives %d of %d", *short.CPU.Quota, *short.CPU.Period)
	}
}

// The scores that kubelet's GetContainerOOMScoreAdjust gives, by container.
func TestOOMScore(t *testing.T) {
	pods := asked()
	critical := pods["burstable"].DeepCopy()
	priority := int32(nodeCritical)
	critical.Spec.Priority = &priority
	for _, tt := range []struct {
		name     string
		pod      *corev1.Pod
		capacity int64
		want     map[string]int
	}{
		{"best effort", pods["best effort"], 8 << 30, map[string]int{"a": 1000}},
		{"guaranteed", pods["guaranteed"], 8 << 30, map[string]int{"a": -997, "b": -997}},
		{"guaranteed by the pod", pods["pod level guaranteed"], 8 << 30, map[string]int{"a": -997}},
		{"an eighth", pods["burstable"], 4 << 30, map[string]int{"a": 875}},
		{"rounded", pods["burstable"], 8 << 30, map[string]int{"a": 938}},
		{"nothing asked of memory", pods["tiny"], 8 << 30, map[string]int{"a": 999}},
		{"more than there is", pods["large init container"], 1 << 30, map[string]int{"i": 3, "a": 3}},
		{"a sidecar as what it serves", pods["sidecar"], 8 << 30, map[string]int{"s": 875, "i": 999, "a": 750, "b": 875}},
		{"what no container asks for is shared", pods["pod level"], 8 << 30, map[string]int{"s": 928, "a": 881, "b": 943}},
		{"node critical", critical, 8 << 30, map[string]int{"a": -997}},
	} {
		got := map[string]int{}
		for _, list := range [][]corev1.Container{tt.pod.Spec.InitContainers, tt.pod.Spec.Containers} {
			for i := range list {
				got[list[i].Name] = OOMScore(&Machine{MemoryBytes: tt.capacity, OOMScoreFloor: -1000}, tt.pod, &list[i])
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
}

// A container without limits runs under its Pod's, and is known by kubelet's conversions.
func TestContainerResources(t *testing.T) {
	pods := asked()
	m := &Machine{SwapControl: true, HugePages: []string{"2MB", "1GB"}}
	for _, tt := range []struct {
		pod           string
		container     int
		shares        uint64
		quota, memory int64
		huge          []specs.LinuxHugepageLimit
	}{
		{"best effort", 0, 2, 0, 0, nil},
		{"guaranteed", 0, 1024, 100000, 1 << 30, nil},
		{"burstable", 0, 256, 200000, 2 << 30, nil},
		{"tiny", 0, 2, 1000, 0, nil},
		{"pod level", 0, 2048, 200000, 4 << 30, nil},
		{"huge pages", 0, 2, 0, 1 << 30, []specs.LinuxHugepageLimit{{Pagesize: "1GB"}, {Pagesize: "2MB", Limit: 100 << 20}}},
	} {
		pod := pods[tt.pod]
		r := ContainerResources(m, pod, &pod.Spec.Containers[tt.container])
		var quota, memory, swap int64
		if r.CPU.Quota != nil {
			quota = *r.CPU.Quota
		}
		if r.Memory != nil {
			memory, swap = *r.Memory.Limit, *r.Memory.Swap
		}
		if *r.CPU.Shares != tt.shares || quota != tt.quota || memory != tt.memory || swap != tt.memory {
			t.Errorf("%s: shares %d quota %d memory %d with swap %d, want %d %d %d", tt.pod, *r.CPU.Shares, quota, memory, swap, tt.shares, tt.quota, tt.memory)
		}
		if tt.huge != nil && cmp.Diff(tt.huge, r.HugepageLimits) != "" {
			t.Errorf("%s: huge pages -want +got:\n%s", tt.pod, cmp.Diff(tt.huge, r.HugepageLimits))
		}
	}
	free := ContainerResources(&Machine{NoCPUQuota: true}, pods["burstable"], &pods["burstable"].Spec.Containers[0])
	if free.CPU.Quota != nil || free.Memory.Swap != nil {
		t.Errorf("without quota and without counting swap: %+v %+v", free.CPU, free.Memory)
	}
}

// Swap on one hierarchy: none, or as much of it as the container asks of the memory.
func TestSwap(t *testing.T) {
	pods := asked()
	half := needs("a", amounts("memory", "4Gi"), amounts("memory", "8Gi"))
	critical := int32(systemCritical)
	for _, tt := range []struct {
		name string
		pod  *corev1.Pod
		swap int64
		want string
	}{
		{"not configured", pods["burstable"], 0, "0"},
		{"best effort", pods["best effort"], 16 << 30, "0"},
		{"guaranteed", pods["guaranteed"], 16 << 30, "0"},
		{"half the memory", &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{half}}}, 16 << 30, "8589934592"},
		{"critical", &corev1.Pod{Spec: corev1.PodSpec{Priority: &critical, Containers: []corev1.Container{half}}}, 16 << 30, "0"},
		{"request is the limit", pods["huge pages"], 16 << 30, "0"},
		{"nothing asked of memory", pods["tiny"], 16 << 30, "0"},
	} {
		m := &Machine{CgroupV2: true, SwapControl: true, SwapBytes: tt.swap, MemoryBytes: 8 << 30}
		r := ContainerResources(m, tt.pod, &tt.pod.Spec.Containers[0])
		if got := r.Unified["memory.swap.max"]; got != tt.want || r.Memory != nil && r.Memory.Swap != nil {
			t.Errorf("%s: swap %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The downward API tells a container without a limit its Pod's, and where there is none what the node has.
func TestResourceValue_StandIns(t *testing.T) {
	node := amounts("cpu", "4", "memory", "8Gi")
	for _, tt := range []struct {
		pod, field, want string
	}{
		{"pod level", "limits.memory", "4294967296"},
		{"pod level", "limits.cpu", "2"},
		{"best effort", "limits.memory", "8589934592"},
		{"burstable", "limits.memory", "2147483648"},
	} {
		pod := asked()[tt.pod]
		got, err := ResourceValue(&Facts{Pod: pod, Allocatable: node}, &pod.Spec.Containers[0], &corev1.ResourceFieldSelector{Resource: tt.field})
		if err != nil || got != tt.want {
			t.Errorf("%s of %s: %s %v, want %s", tt.field, tt.pod, got, err, tt.want)
		}
	}
	if got := node.Memory().String(); got != "8Gi" {
		t.Errorf("the node's own list was changed to %s", got)
	}
}
