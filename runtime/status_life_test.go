package runtime

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/shim"
	"writ/state"
)

// told is a container's state in a line.
func told(s *corev1.ContainerStatus) string {
	text := "nothing"
	switch {
	case s.State.Running != nil:
		text = "running"
	case s.State.Waiting != nil:
		text = s.State.Waiting.Reason
		if s.State.Waiting.Message != "" {
			text += ": " + s.State.Waiting.Message
		}
	case s.State.Terminated != nil:
		text = fmt.Sprintf("%s (%d)", s.State.Terminated.Reason, s.State.Terminated.ExitCode)
	}
	if last := s.LastTerminationState.Terminated; last != nil {
		text += fmt.Sprintf(", last %s (%d)", last.Reason, last.ExitCode)
	}
	return text
}

// What a container shows at each point of its life.
func TestStatus_ReasonsOfAContainer(t *testing.T) {
	plain := func(p *corev1.Pod) { p.Spec.InitContainers = nil }
	main := func(text string, change func(*Observation)) *Observed {
		o := observed(text)
		if c := o.Containers["main"]; c.Run != nil {
			c.Run.Reason = shim.ReasonError
		}
		if change != nil {
			change(o.Containers["main"])
		}
		return o
	}
	failedStart := func(c *Observation) {
		c.Run.Reason, c.Run.ExitCode, c.Run.Container.Message = shim.ReasonStartError, 128, "no such file"
		c.Run.Labels[labelLevel] = "1"
	}
	for _, tt := range []struct {
		name  string
		d     *Desired
		o     *Observed
		after time.Duration
		want  string
		phase corev1.PodPhase
	}{
		{"while postStart runs", desired(plain), main("main running", func(c *Observation) { c.Hook = HookRunning }), 0, "ContainerCreating", corev1.PodPending},
		{"while postStart of a restart runs", desired(plain), main("main running", func(c *Observation) {
			c.Hook, c.Last = HookRunning, &Run{Container: shim.Container{Status: shim.StatusExited, ExitCode: 3, Reason: shim.ReasonError}}
		}), 0, "ContainerCreating, last Error (3)", corev1.PodRunning},
		{"could not start, a moment ago", desired(plain), main("main exit 1", failedStart), 0, "RunContainerError: no such file, last StartError (128)", corev1.PodRunning},
		{"could not start, a while ago", desired(plain), main("main exit 1", failedStart), 2 * time.Second,
			"CrashLoopBackOff: back-off 10s restarting failed container=main pod=web_default(), last StartError (128)", corev1.PodRunning},
		{"could not start and never will", desired(func(p *corev1.Pod) { plain(p); podRestarts(corev1.RestartPolicyNever)(p) }), main("main exit 1", failedStart), 0, "StartError (128)", corev1.PodFailed},
		{"postStart failed", desired(plain), main("main exit 1", func(c *Observation) { c.HookFailure = "it said no"; c.Run.Labels[labelLevel] = "1" }), 0,
			"PostStartHookError: it said no, last Error (1)", corev1.PodRunning},
		{"about to start again", desired(plain), main("main exit 1", nil), 0, "Error (1)", corev1.PodRunning},
		{"deleted", &Desired{Pod: desired(plain).Pod, Deletion: &state.Deletion{}}, main("main exit 1", func(c *Observation) { c.Run.Labels[labelLevel] = "1" }), 0, "Error (1)", corev1.PodFailed},
		{"ended for another image, with Never", desired(func(p *corev1.Pod) { plain(p); podRestarts(corev1.RestartPolicyNever)(p) }),
			main("main exit 1", func(c *Observation) { c.Anew = true }), 0, "Error (1)", corev1.PodRunning},
		{"after a boot", desired(plain), past(main("main exit 1", nil), shim.ReasonUnknown), 0, "ContainerCreating, last ContainerStatusUnknown (1)", corev1.PodRunning},
		{"all begin anew", desired(plain), past(main("main exit 1", nil), restartingAll), 0,
			"RestartingAllContainers: The container is removed because RestartAllContainers in place, last RestartingAllContainers (1)", corev1.PodRunning},
		{"all begin anew, with Never", desired(func(p *corev1.Pod) { plain(p); podRestarts(corev1.RestartPolicyNever)(p) }), past(main("main exit 1", nil), restartingAll), 0,
			"RestartingAllContainers: The container is removed because RestartAllContainers in place, last RestartingAllContainers (1)", corev1.PodRunning},
		{"out of time and still running", desired(plain), func() *Observed {
			o := main("main running", nil)
			o.Failed = &Failure{Reason: "DeadlineExceeded"}
			return o
		}(), 0, "running", corev1.PodRunning},
	} {
		s := Status(tt.d, tt.o, nil, "192.0.2.1", noon.Add(tt.after))
		if got := told(&s.ContainerStatuses[0]); got != tt.want || s.Phase != tt.phase {
			t.Errorf("%s: %s and\n%q, want %s and\n%q", tt.name, s.Phase, got, tt.phase, tt.want)
		}
	}
}

// A failed start shows for a moment, and the plan says when it is over.
func TestSteps_WakesWhenAFailureIsShown(t *testing.T) {
	o := observed("side running", "main exit 1")
	o.Containers["main"].Run.Reason, o.Containers["main"].Run.Labels[labelLevel] = shim.ReasonStartError, "1"
	if p := Steps(desired(nil), o, noon); !p.Wake.Equal(noon.Add(failureShown)) {
		t.Errorf("wakes at %v, want after %v", p.Wake, failureShown)
	}
}

// Conditions that somebody else states stay, and open a readiness gate.
func TestStatus_GatesAndConditionsOfOthers(t *testing.T) {
	d := desired(func(p *corev1.Pod) {
		p.Spec.InitContainers = nil
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "x.example/y"}}
	})
	o := observed("main running")
	o.Containers["main"].Ready = true
	for _, tt := range []struct {
		status corev1.ConditionStatus
		ready  bool
		text   string
	}{
		{"", false, `corresponding condition of pod readiness gate "x.example/y" does not exist.`},
		{corev1.ConditionUnknown, false, `the status of pod readiness gate "x.example/y" is not "True", but Unknown`},
		{corev1.ConditionTrue, true, ""},
	} {
		last := &corev1.PodStatus{}
		if tt.status != "" {
			last.Conditions = []corev1.PodCondition{{Type: "x.example/y", Status: tt.status, Reason: "Theirs"}}
		}
		s := Status(d, o, last, "192.0.2.1", noon)
		c := state.PodCondition(s, corev1.PodReady)
		if (c.Status == corev1.ConditionTrue) != tt.ready || c.Message != tt.text || !state.PodIs(s, corev1.ContainersReady) {
			t.Errorf("gate %q: condition is %v", tt.status, c)
		}
		if kept := state.PodCondition(s, "x.example/y"); tt.status != "" && (kept == nil || kept.Reason != "Theirs" || kept.Status != tt.status) {
			t.Errorf("gate %q: the condition of others became %v", tt.status, kept)
		}
	}
}
