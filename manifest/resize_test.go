package manifest

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestValidateUpdate_ResizedPod(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default"},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "img:1",
				Resources: corev1.ResourceRequirements{Requests: list("100m", "64Mi"), Limits: list("200m", "128Mi")}}}}}
		if change != nil {
			change(p)
		}
		return Default(p).(*corev1.Pod)
	}
	for name, tt := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"nothing": {nil, ""},
		"more":    {func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Limits = list("1", "1Gi") }, ""},
		"more, and another image": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = list("1", "1Gi")
			p.Spec.Containers[0].Image = "img:2"
		}, ""},
		"another command beside": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = list("1", "1Gi")
			p.Spec.Containers[0].Command = []string{"x"}
		}, "spec: Forbidden: pod updates may not change fields other than"},
		"guaranteed now": {func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = list("200m", "128Mi") }, "Pod QOS Class may not change as a result of resizing"},
		"limit gone":     {func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Limits = nil }, "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"},
		"above its limit": {func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = list("300m", "64Mi") },
			`spec.containers[0].resources.requests: Invalid value: "300m": must be less than or equal to cpu limit of 200m`},
		"a device": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits["example.com/gpu"] = resource.MustParse("1")
			p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse("1")
		}, "spec: Forbidden: only cpu and memory resources are mutable"},
	} {
		got := ValidateUpdate(pod(nil), pod(tt.change))
		if (tt.want == "") != (len(got) == 0) || !strings.Contains(strings.Join(got, "\n"), tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
