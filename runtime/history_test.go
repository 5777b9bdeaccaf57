package runtime

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/runtime/image"
	"writ/runtime/shim"
	"writ/state"
)

// history is a Pod whose steps are done by the test, with programs that do as chance has it.
type history struct {
	t      *testing.T
	random *rand.Rand
	d      *Desired
	o      *Observed
	now    time.Time
	last   *corev1.PodStatus
	log    []string
	runs   map[string]int // attempts
}

// randomPod has up to three init containers, some of them sidecars, and up to three others, with policies of
// the Pod's and of their own.
func randomPod(r *rand.Rand) *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	p := pod("h", "img", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}[r.IntN(3)]
		for i := range r.IntN(4) {
			c := corev1.Container{Name: fmt.Sprintf("i%d", i), Image: "img"}
			if r.IntN(2) == 0 {
				c.Name, c.RestartPolicy = fmt.Sprintf("s%d", i), &always
			}
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		}
		p.Spec.Containers = nil
		for i := range 1 + r.IntN(3) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprintf("m%d", i), Image: "img"})
		}
		for c := range containers(&p.Spec) {
			if c.RestartPolicy == nil && r.IntN(4) == 0 {
				own := []corev1.ContainerRestartPolicy{corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure}[r.IntN(2)]
				c.RestartPolicy = &own
				action := []corev1.ContainerRestartRuleAction{corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers}[r.IntN(2)]
				c.RestartPolicyRules = []corev1.ContainerRestartRule{{Action: action, ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{7}}}}
			}
			if r.IntN(4) == 0 {
				c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{}, PreStop: &corev1.LifecycleHandler{}}
			}
			if r.IntN(4) == 0 && (c.RestartPolicy == &always || strings.HasPrefix(c.Name, "m")) {
				c.StartupProbe = &corev1.Probe{}
			}
		}
	})
	return p
}

func (h *history) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\npod %s\nhistory:\n%s", fmt.Sprintf(format, args...), &h.d.Pod.Spec, strings.Join(h.log[max(0, len(h.log)-60):], "\n"))
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf("%7.2fs ", h.now.Sub(noon).Seconds())+fmt.Sprintf(format, args...))
}

func (h *history) spec(name string) *corev1.Container {
	for c := range containers(&h.d.Pod.Spec) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// do is a step, done at once.
func (h *history) do(s Step) {
	oc, c := h.o.container(s.Container), h.spec(s.Container)
	h.note("%s", s)
	switch s.Do {
	case ActPrepare:
		h.o.Sandbox.succeed()
	case ActVolumes:
		h.o.Volumes.succeed()
	case ActPull:
		oc.Image = Pull{Ref: c.Image, Image: &image.Image{}}
		if h.random.IntN(8) == 0 {
			oc.Image = Pull{Ref: c.Image, Reason: "ErrImagePull", FailedAt: h.now, Retry: h.now.Add(10 * time.Second)}
		}
	case ActStart:
		h.start(c, oc, s.Level)
	case ActHook:
		if oc.Hook != HookPending || !oc.Run.Running() {
			h.fail("hook of %s twice", c.Name)
		}
		if oc.Hook = HookDone; postStart(c) != nil {
			oc.Hook = HookRunning
		}
	case ActStop:
		if k := oc.Kill; k != nil {
			if !s.Deadline.Before(k.Deadline) {
				h.fail("%s is ended again and no sooner", c.Name)
			}
			oc.Kill = &Kill{Deadline: s.Deadline, Hooked: k.Hooked}
			return
		}
		oc.Kill = &Kill{Deadline: s.Deadline, Hooked: preStop(c) == nil || !h.now.Before(s.Deadline)}
	case ActSignal:
		h.signal(c, oc)
	case ActReset:
		h.reset()
	case ActOut:
		h.o.OutOfService, h.o.OutAt = true, h.now
	case ActClean:
		if h.o.anyRunning() {
			h.fail("cleaned while something runs")
		}
		h.o.Cleaned = true
	}
}

func (h *history) start(c *corev1.Container, oc *Observation, level int) {
	if oc.Run.Running() {
		h.fail("%s is started while it runs", c.Name)
	}
	if h.d.Deletion != nil {
		h.fail("%s is started although the pod goes", c.Name)
	}
	if !h.o.begun(&h.d.Pod.Spec) {
		for i := range h.d.Pod.Spec.InitContainers {
			before := &h.d.Pod.Spec.InitContainers[i]
			if before.Name == c.Name {
				break
			}
			if was := h.o.container(before.Name); !sidecar(before) && !was.done() && !laterBegun(h.d, h.o, i) ||
				sidecar(before) && !started(was) && !laterBegun(h.d, h.o, i) {
				h.fail("%s is started before %s is through", c.Name, before.Name)
			}
		}
	}
	attempt := oc.Attempts
	if oc.Run != nil {
		attempt = oc.Run.Attempt + 1
		if delay := restartDelay(level - 1); !oc.Run.Past && h.now.Before(oc.Run.FinishedAt.Add(delay)) {
			h.fail("%s is started %v after its end, at level %d", c.Name, h.now.Sub(oc.Run.FinishedAt), level)
		}
	}
	if was, ran := h.runs[c.Name]; ran && attempt != was+1 {
		h.fail("attempt %d of %s after %d", attempt, c.Name, was)
	}
	h.runs[c.Name] = attempt
	oc.Last, oc.Run = oc.Run, &Run{Container: shim.Container{ID: c.Name + strconv.Itoa(attempt), Name: c.Name, Attempt: attempt, Status: shim.StatusRunning,
		Labels: map[string]string{labelImage: c.Image, labelLevel: strconv.Itoa(level)}, StartedAt: h.now}}
	oc.Attempts, oc.Hook, oc.Passed, oc.Ready, oc.Unhealthy, oc.Kill, oc.HookFailure = attempt, HookPending, c.StartupProbe == nil, false, "", nil, ""
}

func (h *history) signal(c *corev1.Container, oc *Observation) {
	k := oc.Kill
	if k == nil || k.Asked || !k.Hooked && h.now.Before(k.Deadline) {
		h.fail("%s is signalled out of turn: %+v", c.Name, k)
	}
	ending := h.d.Deletion != nil || h.o.Failed != nil || finished(h.d.Pod, h.o)
	if ending && initContainer(h.d.Pod, c) && sidecar(c) && h.now.Before(k.Deadline) && oc.Unhealthy == "" {
		for i := range h.d.Pod.Spec.Containers {
			if h.o.container(h.d.Pod.Spec.Containers[i].Name).Run.Running() {
				h.fail("sidecar %s is signalled before %s ended", c.Name, h.d.Pod.Spec.Containers[i].Name)
			}
		}
		i := slices.IndexFunc(h.d.Pod.Spec.InitContainers, func(o corev1.Container) bool { return o.Name == c.Name })
		for _, later := range h.d.Pod.Spec.InitContainers[i+1:] {
			if sidecar(&later) && h.o.container(later.Name).Run.Running() {
				h.fail("sidecar %s is signalled before %s", c.Name, later.Name)
			}
		}
	}
	k.Asked = true
}

func (h *history) reset() {
	pod := h.d.Pod
	for c := range containers(&pod.Spec) {
		oc := h.o.container(c.Name)
		if oc.Run.Running() {
			h.fail("reset while %s runs", c.Name)
		}
		if oc.Run != nil {
			r := *oc.Run
			r.Past, r.Reason, r.ExitCode = true, restartingAll, 137
			oc.Run, oc.Last = &r, nil
		}
	}
	if finished(pod, h.o) {
		h.fail("nothing begins anew")
	}
}

// end is the end of a program.
func (h *history) end(oc *Observation, code int) {
	oc.Run.Status, oc.Run.FinishedAt, oc.Run.ExitCode, oc.Run.Reason = shim.StatusExited, h.now, code, shim.ReasonError
	if code == 0 {
		oc.Run.Reason = shim.ReasonCompleted
	}
	oc.Ready, oc.Passed, oc.Unhealthy, oc.Kill = false, false, "", nil
	h.note("%s ends with %d", oc.Run.Name, code)
}

// chance is something that happens by itself.
func (h *history) chance() {
	var names []string
	for name, oc := range h.o.Containers {
		if oc.Run.Running() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 || h.random.IntN(12) == 0 {
		h.rare()
		return
	}
	oc := h.o.Containers[names[h.random.IntN(len(names))]]
	switch k := oc.Kill; {
	case k != nil && k.Asked:
		h.end(oc, []int{0, 137, 143}[h.random.IntN(3)])
	case k != nil && !k.Hooked:
		k.Hooked = true
	case oc.Hook == HookRunning && h.random.IntN(6) == 0:
		oc.Unhealthy, oc.HookFailure = unhealthyHook, "no"
	case oc.Hook == HookRunning:
		oc.Hook = HookDone
	case !oc.Passed && h.random.IntN(2) == 0:
		oc.Passed, oc.Ready = true, true
	case h.random.IntN(6) == 0 && k == nil:
		oc.Unhealthy = "failed liveness probe"
	default:
		h.end(oc, []int{0, 0, 1, 7}[h.random.IntN(4)])
	}
}

// rare is a boot, a new daemon, or the deletion of the Pod.
func (h *history) rare() {
	switch h.random.IntN(4) {
	case 0:
		h.note("boot")
		for name, oc := range h.o.Containers {
			if oc.Run == nil {
				continue
			}
			*oc = Observation{Attempts: oc.Run.Attempt + 1, Run: oc.Run}
			if s := before(h.last, name, initContainer(h.d.Pod, h.spec(name))); s != nil {
				oc.Run = pastRun(s)
			}
			delete(h.runs, name)
		}
		h.o.Sandbox, h.o.Volumes = Attempt{Done: true}, Attempt{}
	case 1:
		if h.d.Deletion == nil && h.random.IntN(4) == 0 {
			h.note("deleted")
			h.d.Deletion = &state.Deletion{At: h.now, Grace: int64(h.random.IntN(3) * 15), Revision: 1}
			h.d.Routed = state.Revision(h.random.IntN(2))
		}
	case 2:
		h.note("a new daemon")
		for name, oc := range h.o.Containers {
			if oc.Run == nil {
				continue
			}
			found := &Observation{Run: oc.Run, Last: oc.Last, Attempts: oc.Attempts}
			if oc.Run.Running() {
				found.Hook = HookDone
				if s := before(h.last, name, initContainer(h.d.Pod, h.spec(name))); s != nil {
					found.Ready, found.Passed = s.Ready, s.Started != nil && *s.Started
				}
				if k := oc.Kill; k != nil && k.Asked { // which the shim remembers
					found.Kill = &Kill{Deadline: k.Deadline, Hooked: true, Asked: true}
				}
			}
			h.o.Containers[name] = found
		}
		h.o.Sandbox, h.o.Volumes, h.o.OutOfService = Attempt{Done: true}, Attempt{}, false
	}
}

// settle does steps until there are none, and looks at the status after each round.
func (h *history) settle() Plan {
	for range 100 {
		p := Steps(h.d, h.o, h.now)
		for _, s := range p.Steps {
			h.do(s)
		}
		h.look()
		if len(p.Steps) == 0 {
			return p
		}
	}
	h.fail("does not come to rest")
	return Plan{}
}

func (h *history) look() {
	s := Status(h.d, h.o, h.last, "192.0.2.1", h.now)
	if again := Status(h.d, h.o, s, "192.0.2.1", h.now); !equality.Semantic.DeepEqual(again, s) {
		h.fail("told again the status is another:\n%s\n%s", s, again)
	}
	if was := h.last; was != nil {
		if final := was.Phase == corev1.PodFailed || was.Phase == corev1.PodSucceeded; final && s.Phase != was.Phase {
			h.fail("phase went from %s to %s", was.Phase, s.Phase)
		}
		if state.PodIs(was, corev1.PodInitialized) && !state.PodIs(s, corev1.PodInitialized) {
			h.fail("it is not initialized any more")
		}
		for i := range s.ContainerStatuses {
			if now, then := &s.ContainerStatuses[i], &was.ContainerStatuses[i]; now.RestartCount < then.RestartCount {
				h.fail("restarts of %s went from %d to %d", now.Name, then.RestartCount, now.RestartCount)
			}
		}
	}
	if (s.Phase == corev1.PodFailed || s.Phase == corev1.PodSucceeded) && h.o.anyRunning() && (h.last == nil || h.last.Phase != s.Phase) {
		h.fail("phase is %s while something runs", s.Phase)
	}
	h.last = s
}

// nothingBefore looks that nothing is planned before the time that a plan named.
func (h *history) nothingBefore(wake time.Time) {
	for _, part := range []time.Duration{1, 3, 6} {
		at := h.now.Add(wake.Sub(h.now) / 7 * part)
		if p := Steps(h.d, h.o, at); at.Before(wake) && len(p.Steps) > 0 {
			h.fail("%s is planned after %v, before its time %v", p.Steps[0], at.Sub(h.now), wake.Sub(h.now))
		}
	}
}

// Whatever happens to a Pod, its containers start in their order and one at a time, sidecars outlive the others,
// nothing changes before its time, what is told never goes back, and a Pod that is deleted goes.
func TestSteps_RandomHistories(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 4))
		h := &history{t: t, random: random, d: &Desired{Pod: randomPod(random), Started: &metav1.Time{Time: noon}},
			o: &Observed{Containers: map[string]*Observation{}}, now: noon, runs: map[string]int{}}
		for range 80 {
			p := h.settle()
			if h.o.Cleaned {
				break
			}
			if !p.Wake.IsZero() {
				h.nothingBefore(p.Wake)
			}
			if p.Wake.IsZero() || random.IntN(2) == 0 {
				h.now = h.now.Add(time.Duration(random.IntN(5000)) * time.Millisecond)
				h.chance()
			} else if h.now.Before(p.Wake) {
				h.now = p.Wake
			}
		}
		h.goes()
	}
}

// goes deletes the Pod and has every program end when it is told to.
func (h *history) goes() {
	if h.d.Deletion == nil {
		h.d.Deletion = &state.Deletion{At: h.now, Grace: 30, Revision: 1}
	}
	h.note("deleted for good")
	for range 100 {
		p := h.settle()
		if h.o.Cleaned {
			return
		}
		for _, oc := range h.o.Containers {
			if oc.Kill != nil && oc.Kill.Asked && oc.Run.Running() {
				h.end(oc, 143)
			}
		}
		if h.now.Before(p.Wake) {
			h.now = p.Wake
		}
	}
	h.fail("it is never gone")
}
