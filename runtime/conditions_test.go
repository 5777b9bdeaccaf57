package runtime

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// A kubelet ends the sandbox of a Pod that has ended; one that it rejected never had any.
func TestConditions_NoSandboxAfterTheEnd(t *testing.T) {
	never := func(p *corev1.Pod) { p.Spec.InitContainers, p.Spec.RestartPolicy = nil, corev1.RestartPolicyNever }
	rejected := &Observed{Sandbox: Attempt{Done: true}, Containers: map[string]*Observation{}, Failed: &Failure{Reason: "SysctlForbidden"}}
	for name, tt := range map[string]struct {
		o    *Observed
		want bool
	}{
		"runs":      {observed("main running"), true},
		"succeeded": {observed("main exit 0"), false},
		"failed":    {observed("main exit 1"), false},
		"rejected":  {rejected, false},
	} {
		if s := Status(desired(never), tt.o, nil, "192.0.2.1", noon); state.PodIs(s, corev1.PodReadyToStartContainers) != tt.want {
			t.Errorf("%s: PodReadyToStartContainers is %v, want %v", name, !tt.want, tt.want)
		}
	}
}

// A gate may name a condition that the node states before the Pod is ready.
func TestConditions_GateOfTheNodes(t *testing.T) {
	d := desired(func(p *corev1.Pod) {
		p.Spec.InitContainers = nil
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: corev1.PodInitialized}}
	})
	o := observed("main running")
	o.Containers["main"].Ready = true
	if s := Status(d, o, nil, "192.0.2.1", noon); !state.PodIs(s, corev1.PodReady) {
		t.Errorf("conditions are %v, want Ready", s.Conditions)
	}
}
