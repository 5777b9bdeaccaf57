package runtime

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// brief is a status in one line: phase, then each container, then the true conditions.
func brief(s *corev1.PodStatus) string {
	out := []string{string(s.Phase)}
	for i := range s.ContainerStatuses {
		c := &s.ContainerStatuses[i]
		text := c.Name + ":"
		switch {
		case c.State.Running != nil:
			text += "running"
		case c.State.Waiting != nil:
			text += c.State.Waiting.Reason
		case c.State.Terminated != nil:
			text += fmt.Sprintf("exit%d", c.State.Terminated.ExitCode)
		}
		if c.Ready {
			text += "+"
		}
		out = append(out, text)
	}
	for _, c := range s.Conditions {
		if c.Status == corev1.ConditionTrue {
			out = append(out, strings.TrimPrefix(string(c.Type), "writ.dev/"))
		}
	}
	return strings.Join(out, " ")
}

func TestStatus(t *testing.T) {
	plain := func(p *corev1.Pod) { p.Spec.InitContainers = nil }
	never := func(p *corev1.Pod) { plain(p); p.Spec.RestartPolicy = corev1.RestartPolicyNever }
	with := func(o *Observed, change func(*Observed)) *Observed { change(o); return o }
	up := with(observed("main running"), func(o *Observed) { o.Containers["main"].Ready = true })
	for _, tt := range []struct {
		name string
		d    *Desired
		o    *Observed
		want string
	}{
		{"just bound", desired(plain), &Observed{Containers: map[string]*Observation{}}, "Pending main:ContainerCreating Initialized PodScheduled"},
		{"init containers first", desired(nil), observed(), "Pending main:PodInitializing PodReadyToStartContainers PodScheduled"},
		{"init container failed", desired(podRestarts(corev1.RestartPolicyNever)), observed("init exit 1"), "Failed main:PodInitializing PodScheduled"},
		{"ready", desired(plain), up, "Running main:running+ PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled"},
		{"not ready", desired(plain), observed("main running"), "Running main:running PodReadyToStartContainers Initialized PodScheduled"},
		{"back-off", desired(plain), with(observed("main exit 1"), func(o *Observed) { o.Containers["main"].Run.Labels[labelLevel] = "1" }),
			"Running main:CrashLoopBackOff PodReadyToStartContainers Initialized PodScheduled"},
		{"image missing", desired(plain), with(observed("main"), func(o *Observed) {
			o.Containers["main"].Image = Pull{Ref: "img", Reason: "ErrImagePull", FailedAt: noon}
		}), "Pending main:ErrImagePull PodReadyToStartContainers Initialized PodScheduled"},
		{"succeeded", desired(never), observed("main exit 0"), "Succeeded main:exit0 Initialized PodScheduled"},
		{"failed", desired(never), observed("main exit 3"), "Failed main:exit3 Initialized PodScheduled"},
		{"deleted and ended", &Desired{Pod: desired(plain).Pod, Deletion: &state.Deletion{}}, with(observed("main exit 0"), func(o *Observed) { o.Cleaned = true }),
			"Succeeded main:exit0 Initialized PodScheduled Stopped"},
		{"gate", desired(func(p *corev1.Pod) {
			plain(p)
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "x.example/y"}}
		}), up, "Running main:running+ PodReadyToStartContainers Initialized ContainersReady PodScheduled"},
	} {
		if got := brief(Status(tt.d, tt.o, nil, "192.0.2.1", noon)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestStatus_KeepsTimesAndIsStable(t *testing.T) {
	d, o := desired(func(p *corev1.Pod) { p.Spec.InitContainers = nil }), observed("main running")
	o.IP = netip.MustParseAddr("10.0.0.7")
	first := Status(d, o, nil, "192.0.2.1", noon)
	second := Status(d, o, first, "192.0.2.1", noon.Add(time.Hour))
	if first.String() != second.String() {
		t.Errorf("an hour later the status is\n%s, was\n%s", second, first)
	}
	o.Containers["main"].Ready = true
	third := Status(d, o, second, "192.0.2.1", noon.Add(2*time.Hour))
	for _, c := range third.Conditions {
		want := noon
		if c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			want = noon.Add(2 * time.Hour)
		}
		if !c.LastTransitionTime.Time.Equal(want) {
			t.Errorf("%s changed at %v, want %v", c.Type, c.LastTransitionTime, want)
		}
	}
}

func TestStatus_AfterAReboot(t *testing.T) {
	d := desired(func(p *corev1.Pod) { p.Spec.InitContainers = nil })
	running := observed("main running")
	running.Containers["main"].Run.Attempt = 2
	last := Status(d, running, nil, "192.0.2.1", noon)
	empty := &Observed{Containers: map[string]*Observation{"main": {Attempts: 3}}}
	s := Status(d, empty, last, "192.0.2.1", noon.Add(time.Minute))
	c := s.ContainerStatuses[0]
	if s.Phase != corev1.PodRunning || c.RestartCount != 2 || c.LastTerminationState.Terminated == nil || c.LastTerminationState.Terminated.ExitCode != 137 {
		t.Errorf("after a reboot: %s %v, want Running and the last run unknown (137)", s.Phase, c)
	}
}
