package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/state"
)

func requesting(cpu, memory string) corev1.Container {
	list := corev1.ResourceList{}
	if cpu != "" {
		list[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		list[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: list}}
}

func sidecar(c corev1.Container) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return c
}

// What is assumed of containers that say nothing counts for the score alone, as upstream has it.
func TestNeedOf_Scored(t *testing.T) {
	const mib = 1 << 20
	silent := requesting("", "")
	for name, tt := range map[string]struct {
		init, containers []corev1.Container
		whole, overhead  corev1.Container // requests of the whole Pod, and its overhead
		cpu, memory      int64            // what it takes
		scoredCPU        int64
		scoredMemory     int64
	}{
		"silent":                {containers: []corev1.Container{silent}, scoredCPU: 100, scoredMemory: 200 * mib},
		"three silent":          {containers: []corev1.Container{silent, silent, silent}, scoredCPU: 300, scoredMemory: 600 * mib},
		"one of two silent":     {containers: []corev1.Container{requesting("1", "1Gi"), silent}, cpu: 1000, memory: 1024 * mib, scoredCPU: 1100, scoredMemory: 1224 * mib},
		"one resource":          {containers: []corev1.Container{requesting("1", "")}, cpu: 1000, scoredCPU: 1000, scoredMemory: 200 * mib},
		"nothing, and says so":  {containers: []corev1.Container{requesting("0", "0")}},
		"all told":              {containers: []corev1.Container{requesting("1", "1Mi")}, cpu: 1000, memory: mib, scoredCPU: 1000, scoredMemory: mib},
		"silent init container": {init: []corev1.Container{silent}, containers: []corev1.Container{requesting("10m", "1Gi")}, cpu: 10, memory: 1024 * mib, scoredCPU: 100, scoredMemory: 1024 * mib},
		"silent sidecar":        {init: []corev1.Container{sidecar(silent)}, containers: []corev1.Container{requesting("10m", "1Gi")}, cpu: 10, memory: 1024 * mib, scoredCPU: 110, scoredMemory: 1224 * mib},
		"whole, with silent":    {whole: requesting("1", "1Gi"), containers: []corev1.Container{silent, silent}, cpu: 1000, memory: 1024 * mib, scoredCPU: 1000, scoredMemory: 1024 * mib},
		"whole says half":       {whole: requesting("1", ""), containers: []corev1.Container{silent, silent}, cpu: 1000, scoredCPU: 1000, scoredMemory: 400 * mib},
		"whole and a container": {whole: requesting("1", ""), containers: []corev1.Container{silent, requesting("", "1Mi")}, cpu: 1000, memory: mib, scoredCPU: 1000, scoredMemory: mib},
		"overhead":              {overhead: requesting("50m", "1Mi"), containers: []corev1.Container{silent}, cpu: 50, memory: mib, scoredCPU: 150, scoredMemory: 201 * mib},
	} {
		p := podOf("p", "", "", func(p *corev1.Pod) {
			p.Spec.InitContainers, p.Spec.Containers, p.Spec.Overhead = tt.init, tt.containers, tt.overhead.Resources.Requests
			if len(tt.whole.Resources.Requests) > 0 {
				p.Spec.Resources = &tt.whole.Resources
			}
		})
		n := needOf(p)
		if n.cpu != tt.cpu || n.memory != tt.memory || n.scored.cpu != tt.scoredCPU || n.scored.memory != tt.scoredMemory {
			t.Errorf("%s: takes %d and %d, scored as %d and %d, want %d %d %d %d", name, n.cpu, n.memory, n.scored.cpu, n.scored.memory, tt.cpu, tt.memory, tt.scoredCPU, tt.scoredMemory)
		}
	}
}

// A node with a Pod of many silent containers is fuller than one with a Pod of one.
func TestPlace_SilentContainers(t *testing.T) {
	many := podOf("many", "", "", func(p *corev1.Pod) { p.Spec.Containers = []corev1.Container{{}, {}, {}} })
	x := indexOf(nodeRecord("a", nil), nodeRecord("b", nil), podRecord(many, "a"), podRecord(podOf("one", "", "", nil), "b"))
	if to, why := x.Place(podOf("p", "1", "1Gi", nil)); to != state.Node("b") {
		t.Errorf("got %q %q, want b", to, why)
	}
}
