package runtime

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/runtime/image"
	"writ/runtime/shim"
	"writ/state"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// observed is a Pod whose sandbox is there; containers are "name", "name running",
// "name exit CODE", each with its image present.
func observed(containers ...string) *Observed {
	o := &Observed{Sandbox: Attempt{Done: true}, Volumes: Attempt{Done: true}, Containers: map[string]*Observation{}}
	for _, text := range containers {
		f := strings.Fields(text)
		c := &Observation{Image: Pull{Ref: "img", Image: &image.Image{}}, Hook: HookDone, Passed: true}
		if len(f) > 1 {
			c.Run = &Run{Container: shim.Container{ID: f[0] + "-id", Name: f[0], Status: shim.StatusRunning, Labels: map[string]string{labelImage: "img"}, StartedAt: noon.Add(-time.Minute)}}
		}
		if len(f) > 2 {
			c.Run.Status, c.Run.FinishedAt = shim.StatusExited, noon
			c.Run.ExitCode = int(f[2][0] - '0')
		}
		o.Containers[f[0]] = c
	}
	return o
}

func desired(change func(*corev1.Pod)) *Desired {
	always := corev1.ContainerRestartPolicyAlways
	p := pod("web", "img", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "img"}, {Name: "side", Image: "img", RestartPolicy: &always}}
		if change != nil {
			change(p)
		}
	})
	return &Desired{Pod: p}
}

// stepsText is the steps of a plan, one after the other.
func stepsText(p Plan) string {
	var steps []string
	for _, s := range p.Steps {
		steps = append(steps, s.String())
	}
	return strings.Join(steps, ", ")
}

func podRestarts(p corev1.RestartPolicy) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.RestartPolicy = p }
}

// ruled gives main a policy of its own, Never, and a rule for exit code 7.
func ruled(action corev1.ContainerRestartRuleAction) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		never := corev1.ContainerRestartPolicyNever
		p.Spec.Containers[0].RestartPolicy = &never
		p.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: action,
			ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{7}}}}
	}
}

// past has every run be one of an earlier life.
func past(o *Observed, reason string) *Observed {
	for _, c := range o.Containers {
		if c.Run != nil {
			c.Run.Past, c.Run.Reason = true, reason
		}
	}
	return o
}

func TestDesired_End(t *testing.T) {
	minute := int64(60)
	long := pod("p", "img", func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &minute })
	short := &state.Deletion{At: noon, Grace: 5}
	for _, c := range []struct {
		name string
		d    Desired
		want time.Duration // after noon
	}{
		{"deleted", Desired{Pod: long, Deletion: short}, 5 * time.Second},
		{"gone", Desired{Pod: long, Gone: true, GoneAt: noon}, time.Minute},
		{"deleted, then gone", Desired{Pod: long, Deletion: short, Gone: true, GoneAt: noon.Add(time.Second)}, 5 * time.Second},
		{"with all the time of the world, then gone", Desired{Pod: long, Deletion: &state.Deletion{At: noon, Grace: 600}, Gone: true, GoneAt: noon}, time.Minute},
	} {
		if got := c.d.end().Sub(noon); got != c.want {
			t.Errorf("%s: it ends %v after noon, want %v", c.name, got, c.want)
		}
	}
}

func TestSteps(t *testing.T) {
	deleted := func(d *Desired, grace int64, routed bool) *Desired {
		d.Deletion = &state.Deletion{At: noon, Grace: grace, Revision: 7}
		if routed {
			d.Routed = 7
		}
		return d
	}
	with := func(o *Observed, change func(*Observed)) *Observed { change(o); return o }
	limit := int64(60)
	for _, tt := range []struct {
		name string
		d    *Desired
		o    *Observed
		want string
		wake time.Duration // from noon, 0 for never
	}{
		{"first the sandbox", desired(nil), &Observed{Containers: map[string]*Observation{}}, "prepare", 0},
		{"sandbox failed", desired(nil), &Observed{Sandbox: Attempt{Failures: 1, Retry: noon.Add(time.Second)}, Containers: map[string]*Observation{}}, "", time.Second},
		{"then volumes", desired(nil), with(observed(), func(o *Observed) { o.Volumes = Attempt{} }), "volumes", 0},
		{"then the image of the first", desired(nil), observed(), "pull init", 0},
		{"then the first", desired(nil), observed("init"), "start init", 0},
		{"which runs", desired(nil), observed("init running", "side", "main"), "", 0},
		{"which failed", desired(nil), observed("init exit 1", "side", "main"), "start init level 1", 0},
		{"which failed for good", desired(podRestarts(corev1.RestartPolicyNever)), observed("init exit 1", "side", "main"), "", 0},
		{"sidecar next", desired(nil), observed("init exit 0", "side", "main"), "start side", 0},
		{"sidecar is not started up", desired(nil), with(observed("init exit 0", "side running", "main"), func(o *Observed) { o.Containers["side"].Passed = false }), "", 0},
		{"then the rest", desired(nil), observed("init exit 0", "side running", "main"), "start main", 0},
		{"all run", desired(nil), observed("init exit 0", "side running", "main running"), "", 0},
		{"init containers forgotten", desired(nil), observed("side running", "main running"), "", 0},
		{"restart at once", desired(nil), observed("init exit 0", "side running", "main exit 0"), "start main level 1", 0},
		{"on failure only", desired(podRestarts(corev1.RestartPolicyOnFailure)), observed("init exit 0", "side running", "main exit 0"), "stop side", 0},
		{"restart after a while", desired(nil), with(observed("init exit 0", "side running", "main exit 1"), func(o *Observed) { o.Containers["main"].Run.Labels[labelLevel] = "2" }), "", 20 * time.Second},
		{"a long run resets", desired(nil), with(observed("init exit 0", "side running", "main exit 1"), func(o *Observed) {
			o.Containers["main"].Run.Labels[labelLevel] = "5"
			o.Containers["main"].Run.StartedAt = noon.Add(-time.Hour)
		}), "start main level 1", 0},
		{"unhealthy", desired(nil), with(observed("side running", "main running"), func(o *Observed) { o.Containers["main"].Unhealthy = "failed liveness probe" }), "stop main", 0},
		{"unhealthy and being stopped", desired(nil), with(observed("side running", "main running"), func(o *Observed) {
			o.Containers["main"].Unhealthy, o.Containers["main"].Kill = "failed liveness probe", &Kill{Asked: true}
		}), "", 0},
		{"another image", desired(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "img2" }), observed("side running", "main running"), "stop main", 0},
		{"another image resets the back-off", desired(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "img2" }),
			with(observed("side running", "main exit 1"), func(o *Observed) {
				o.Containers["main"].Run.Labels[labelLevel] = "5"
				o.Containers["main"].Image.Ref = "img2"
			}), "start main", 0},
		{"another image of one that is not restarted", desired(func(p *corev1.Pod) {
			podRestarts(corev1.RestartPolicyNever)(p)
			p.Spec.Containers[0].Image = "img2"
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "img"})
		}), observed("init exit 0", "side running", "main exit 1", "second running"), "", 0},
		{"another image of one that did its work", desired(func(p *corev1.Pod) {
			podRestarts(corev1.RestartPolicyOnFailure)(p)
			p.Spec.Containers[0].Image = "img2"
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "img"})
		}), observed("init exit 0", "side running", "main exit 0", "second running"), "", 0},
		{"another image of an init container", desired(func(p *corev1.Pod) { p.Spec.InitContainers[0].Image = "img2" }), observed("init running", "side", "main"), "", 0},
		{"ended for another image", desired(func(p *corev1.Pod) {
			podRestarts(corev1.RestartPolicyNever)(p)
			p.Spec.Containers[0].Image = "img2"
		}), with(observed("init exit 0", "side running", "main exit 0"), func(o *Observed) {
			o.Containers["main"].Anew, o.Containers["main"].Image.Ref = true, "img2"
		}), "start main", 0},
		{"postStart holds up those after it", desired(func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "img"})
		}),
			with(observed("side running", "main running", "second"), func(o *Observed) { o.Containers["main"].Hook = HookRunning }), "", 0},
		{"and what is about to start with one", desired(func(p *corev1.Pod) {
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{}}
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "img"})
		}), observed("init exit 0", "side running", "main", "second"), "start main", 0},
		{"those after it start", desired(func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "img"})
		}),
			observed("side running", "main running", "second"), "start second", 0},
		{"postStart failed", desired(nil), with(observed("side running", "main running"), func(o *Observed) {
			o.Containers["main"].Hook, o.Containers["main"].Unhealthy = HookRunning, unhealthyHook
		}), "stop main", 0},
		{"a policy of its own", desired(func(p *corev1.Pod) {
			never := corev1.ContainerRestartPolicyNever
			p.Spec.Containers[0].RestartPolicy = &never
		}),
			observed("init exit 0", "side running", "main exit 1"), "stop side", 0},
		{"a rule of its own", desired(ruled(corev1.ContainerRestartRuleActionRestart)), observed("init exit 0", "side running", "main exit 7"), "start main level 1", 0},
		{"a rule that does not match", desired(ruled(corev1.ContainerRestartRuleActionRestart)), observed("init exit 0", "side running", "main exit 8"), "stop side", 0},
		{"all begin anew: what runs ends", desired(ruled(corev1.ContainerRestartRuleActionRestartAllContainers)), observed("init exit 0", "side running", "main exit 7"), "stop side", 0},
		{"all begin anew: nothing runs", desired(ruled(corev1.ContainerRestartRuleActionRestartAllContainers)), observed("init exit 0", "side exit 0", "main exit 7"), "reset", 0},
		{"all begin anew: from the first", desired(ruled(corev1.ContainerRestartRuleActionRestartAllContainers)),
			past(observed("init exit 0", "side exit 0", "main exit 7"), restartingAll), "start init", 0},
		{"all begin anew, after a while", desired(ruled(corev1.ContainerRestartRuleActionRestartAllContainers)),
			with(observed("init exit 0", "side running", "main exit 7"), func(o *Observed) { o.Containers["main"].Run.Labels[labelLevel] = "1" }), "", 10 * time.Second},
		{"after a reboot, from the first", desired(nil), past(observed("init exit 0", "side exit 0", "main exit 7"), ""), "start init", 0},
		{"after a reboot, done", desired(podRestarts(corev1.RestartPolicyNever)), past(observed("init exit 0", "side exit 0", "main exit 7"), ""), "", 0},
		{"after a reboot, a part is done", desired(func(p *corev1.Pod) {
			podRestarts(corev1.RestartPolicyOnFailure)(p)
			p.Spec.InitContainers = nil
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: "img"})
		}), past(observed("main exit 0", "second exit 1"), ""), "start second", 0},
		{"hook", desired(nil), with(observed("side running", "main running"), func(o *Observed) { o.Containers["main"].Hook = HookPending }), "hook main", 0},
		{"image missing", desired(nil), with(observed("side running", "main"), func(o *Observed) {
			o.Containers["main"].Image = Pull{Ref: "img", Reason: "ErrImagePull", FailedAt: noon.Add(-time.Hour), Retry: noon.Add(9 * time.Second)}
		}), "", 9 * time.Second},
		{"out of time", &Desired{Pod: desired(func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &limit }).Pod, Started: &metav1.Time{Time: noon.Add(-time.Minute)}}, observed("main running"), "fail", 0},
		{"time remains", &Desired{Pod: desired(func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &limit }).Pod, Started: &metav1.Time{Time: noon}}, observed("side running", "main running"), "", time.Minute},
		{"failed by the node", desired(nil), with(observed("side running", "main running"), func(o *Observed) { o.Failed = &Failure{} }), "stop main, stop side", 0},

		{"deleted, routes are there", deleted(desired(nil), 30, false), observed("side running", "main running"), "", 2 * time.Second},
		{"deleted, routes are gone", deleted(desired(nil), 30, true), observed("side running", "main running"), "out", 0},
		{"out of service, requests are on their way", deleted(desired(nil), 30, true), with(observed("main running"), func(o *Observed) {
			o.OutOfService, o.OutAt = true, noon.Add(-100*time.Millisecond)
		}), "", 150 * time.Millisecond},
		{"out of service for long enough", deleted(desired(nil), 30, true), with(observed("main running"), func(o *Observed) {
			o.OutOfService, o.OutAt = true, noon.Add(-time.Second)
		}), "stop main", 0},
		{"deleted by force", deleted(desired(nil), 0, false), observed("main running"), "out, stop main", 0},
		{"sidecars last", deleted(desired(nil), 30, true), with(observed("side running", "main exit 0"), func(o *Observed) { o.OutOfService = true }), "stop side", 0},
		{"being stopped", deleted(desired(nil), 30, true), with(observed("main running"), func(o *Observed) {
			o.OutOfService = true
			o.Containers["main"].Kill = &Kill{Deadline: noon.Add(30 * time.Second), Asked: true}
		}), "", 0},
		{"preStop runs", deleted(desired(nil), 30, true), with(observed("main running"), func(o *Observed) {
			o.OutOfService = true
			o.Containers["main"].Kill = &Kill{Deadline: noon.Add(30 * time.Second)}
		}), "", 30 * time.Second},
		{"preStop overruns", deleted(desired(nil), 30, true), with(observed("main running"), func(o *Observed) {
			o.OutOfService = true
			o.Containers["main"].Kill = &Kill{Deadline: noon}
		}), "signal main", 0},
		{"preStop ended", deleted(desired(nil), 30, true), with(observed("side running", "main running"), func(o *Observed) {
			o.OutOfService = true
			o.Containers["main"].Kill = &Kill{Deadline: noon.Add(30 * time.Second), Hooked: true}
			o.Containers["side"].Kill = &Kill{Deadline: noon.Add(30 * time.Second), Hooked: true}
		}), "signal main", 30 * time.Second},
		{"sidecars are signalled last", deleted(desired(nil), 30, true), with(observed("side running", "main exit 0"), func(o *Observed) {
			o.OutOfService = true
			o.Containers["side"].Kill = &Kill{Deadline: noon.Add(30 * time.Second), Hooked: true}
		}), "signal side", 0},
		{"shorter grace", deleted(desired(nil), 5, true), with(observed("main running"), func(o *Observed) {
			o.OutOfService = true
			o.Containers["main"].Kill = &Kill{Deadline: noon.Add(30 * time.Second)}
		}), "stop main", 0},
		{"deleted, then evicted", deleted(desired(nil), 300, true), with(observed("main running"), func(o *Observed) {
			o.OutOfService = true
			o.Containers["main"].Kill = &Kill{Deadline: noon.Add(300 * time.Second), Hooked: true, Asked: true}
			o.Failed = &Failure{Reason: "Evicted", Leave: true, Until: noon.Add(time.Second)}
		}), "stop main", 0},
		{"all ended", deleted(desired(nil), 30, true), observed("main exit 0"), "clean", 0},
		{"deleted before it was made", deleted(desired(nil), 30, false), &Observed{Containers: map[string]*Observation{}}, "prepare", 0},
		{"cleaned", deleted(desired(nil), 30, true), &Observed{Cleaned: true}, "", 0},
		{"record is gone", &Desired{Pod: desired(nil).Pod, Gone: true, GoneAt: noon}, observed("main running"), "out, stop main", 0},
	} {
		p := Steps(tt.d, tt.o, noon)
		if got := stepsText(p); got != tt.want {
			t.Errorf("%s: steps are %q, want %q", tt.name, got, tt.want)
		}
		var wake time.Duration
		if !p.Wake.IsZero() {
			wake = p.Wake.Sub(noon)
		}
		if wake != tt.wake {
			t.Errorf("%s: wakes after %v, want %v", tt.name, wake, tt.wake)
		}
	}
}

// Nothing changes before Wake.
func TestSteps_NothingBeforeWake(t *testing.T) {
	o := observed("side running", "main exit 1")
	o.Containers["main"].Run.Labels[labelLevel] = "3"
	p := Steps(desired(nil), o, noon)
	if p.Wake.IsZero() || len(p.Steps) > 0 {
		t.Fatalf("plan is %v", p)
	}
	for at := noon; at.Before(p.Wake); at = at.Add(p.Wake.Sub(noon) / 7) {
		if q := Steps(desired(nil), o, at); len(q.Steps) > 0 {
			t.Errorf("steps %v at %v, before %v", q.Steps, at.Sub(noon), p.Wake.Sub(noon))
		}
	}
	if q := Steps(desired(nil), o, p.Wake); len(q.Steps) != 1 {
		t.Errorf("steps at Wake are %v, want one", q.Steps)
	}
}

func TestGrace(t *testing.T) {
	for n, want := range map[int64]time.Duration{0: 0, 30: 30 * time.Second, 1 << 62: 100 * 365 * 24 * time.Hour} {
		if got := grace(pod("p", "img", func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &n })); got != want {
			t.Errorf("%d seconds are %v, want %v", n, got, want)
		}
	}
}
