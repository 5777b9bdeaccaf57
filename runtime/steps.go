package runtime

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Action is what a Step does. Each may be repeated.
type Action string

// The actions, in the order of a Pod's life.
const (
	ActPrepare Action = "prepare" // shim, network, cgroup, files; finds what runs already
	ActVolumes Action = "volumes"
	ActPull    Action = "pull"
	ActStart   Action = "start"
	ActHook    Action = "hook" // postStart
	ActStop    Action = "stop" // preStop, signal, grace, kill
	ActOut     Action = "out"  // no longer waits for its routes
	ActFail    Action = "fail" // the node ends the Pod
	ActClean   Action = "clean"
)

// Step is one thing to do for a Pod now.
type Step struct {
	Do        Action
	Container string
	Why       string    // of a stop: for people
	Deadline  time.Time // of a stop
	Level     int       // of a start: the back-off level
}

func (s Step) String() string {
	out := string(s.Do)
	if s.Container != "" {
		out += " " + s.Container
	}
	if s.Level > 0 {
		out += " level " + strconv.Itoa(s.Level)
	}
	return out
}

const (
	// routeWait is how long a Pod waits for its routes to go.
	routeWait = 2 * time.Second
	// linger is how long a Pod that is out of service goes on before it is told to end: a connection that was
	// made a moment ago may not have brought its request yet, and many servers (Go's net/http among them)
	// close such a connection without an answer once they shut down.
	linger = 250 * time.Millisecond
	// leastGrace is what remains for the signal when preStop took it all.
	leastGrace = 2 * time.Second
	// pullShown is how long ErrImagePull shows before it becomes ImagePullBackOff.
	pullShown = time.Second
)

// Plan is Steps' answer: what to do now, and when time alone changes the answer.
type Plan struct {
	Steps []Step
	Wake  time.Time // zero: never
}

func (p *Plan) add(s Step) { p.Steps = append(p.Steps, s) }

// silent says that the next round, which follows at once, tells what these steps did.
func (p *Plan) silent() bool {
	for _, s := range p.Steps {
		if s.Do != ActVolumes && s.Do != ActPull {
			return false
		}
	}
	return len(p.Steps) > 0
}

func (p *Plan) wake(at time.Time) {
	if !at.IsZero() && (p.Wake.IsZero() || at.Before(p.Wake)) {
		p.Wake = at
	}
}

// Steps says what is to be done for a Pod now. It is a function of its arguments.
func Steps(d *Desired, o *Observed, now time.Time) Plan {
	var p Plan
	switch {
	case o.Cleaned:
	case d.Gone || d.Deletion != nil:
		p.terminate(d, o, now)
	case o.Failed != nil:
		p.prepare(o, now)
		p.stopAll(d, o, now, now.Add(grace(d.Pod)), "Stopping container %s")
	default:
		if p.deadline(d, o, now) {
			p.add(Step{Do: ActFail})
			return p
		}
		p.run(d, o, now)
	}
	return p
}

// deadline says that activeDeadlineSeconds have passed.
func (p *Plan) deadline(d *Desired, o *Observed, now time.Time) bool {
	limit, start := d.Pod.Spec.ActiveDeadlineSeconds, d.Started
	if limit == nil || start == nil || finished(d.Pod, o) {
		return false
	}
	end := start.Add(time.Duration(*limit) * time.Second)
	if !now.Before(end) {
		return true
	}
	p.wake(end)
	return false
}

func (p *Plan) prepare(o *Observed, now time.Time) bool {
	if o.Sandbox.Done {
		return true
	}
	if o.Sandbox.due(now) {
		p.add(Step{Do: ActPrepare})
	} else {
		p.wake(o.Sandbox.Retry)
	}
	return false
}

// run brings a Pod that is to stay to where it should be.
func (p *Plan) run(d *Desired, o *Observed, now time.Time) {
	if !p.prepare(o, now) {
		return
	}
	if finished(d.Pod, o) {
		p.stopAll(d, o, now, now.Add(grace(d.Pod)), "Stopping container %s")
		return
	}
	if !o.Volumes.Done {
		if o.Volumes.due(now) {
			p.add(Step{Do: ActVolumes})
		} else {
			p.wake(o.Volumes.Retry)
		}
		if !o.begun(&d.Pod.Spec) {
			return // what runs is kept up even if a volume cannot be brought up to date
		}
	}
	if !p.init(d, o, now) {
		return
	}
	for i := range d.Pod.Spec.Containers {
		p.keep(d, o, &d.Pod.Spec.Containers[i], d.Pod.Spec.RestartPolicy, now)
	}
}

// init goes through the init containers and says whether the others may run.
func (p *Plan) init(d *Desired, o *Observed, now time.Time) bool {
	begun := o.begun(&d.Pod.Spec)
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		oc := o.container(c.Name)
		if sidecar(c) {
			p.keep(d, o, c, corev1.RestartPolicyAlways, now)
			if !begun && !started(oc) {
				return false
			}
			continue
		}
		if begun || oc.Run.Exited() && oc.Run.ExitCode == 0 || laterBegun(d, o, i) {
			continue
		}
		policy := d.Pod.Spec.RestartPolicy
		if policy == corev1.RestartPolicyAlways {
			policy = corev1.RestartPolicyOnFailure
		}
		p.keep(d, o, c, policy, now)
		return false
	}
	return true
}

// laterBegun says that an init container after the i-th was started, so that the
// i-th was done once (its record may be lost).
func laterBegun(d *Desired, o *Observed, i int) bool {
	for _, c := range d.Pod.Spec.InitContainers[i+1:] {
		if oc := o.Containers[c.Name]; oc != nil && oc.Run != nil {
			return true
		}
	}
	return false
}

// started says that a container runs, its hook is done and its startup probe passed.
func started(oc *Observation) bool {
	return oc.Run.Running() && oc.Hook == HookDone && oc.Passed
}

// keep brings one container to where it should be.
func (p *Plan) keep(d *Desired, o *Observed, c *corev1.Container, policy corev1.RestartPolicy, now time.Time) {
	oc := o.container(c.Name)
	if oc.Run.Running() {
		p.keepRunning(d, c, oc, now)
		return
	}
	if oc.Run != nil && !oc.Run.Exited() {
		return // being started
	}
	level := 0
	if oc.Run != nil {
		changed := oc.Run.Labels[labelImage] != c.Image
		if !changed && !restarts(policy, oc.Run.ExitCode) {
			return
		}
		if !changed {
			was, _ := strconv.Atoi(oc.Run.Labels[labelLevel])
			level = levelAfter(was, ran(oc.Run))
			if due := oc.Run.FinishedAt.Add(restartDelay(level - 1)); now.Before(due) {
				p.wake(due)
				return
			}
		}
	}
	if !p.image(c, oc, now) {
		return
	}
	if oc.Create.Err != nil && now.Before(oc.Create.Retry) {
		p.wake(oc.Create.Retry)
		return
	}
	p.add(Step{Do: ActStart, Container: c.Name, Level: level})
}

func ran(r *Run) time.Duration {
	if r.StartedAt.IsZero() {
		return 0
	}
	return r.FinishedAt.Sub(r.StartedAt)
}

func restarts(policy corev1.RestartPolicy, code int) bool {
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

func (p *Plan) keepRunning(d *Desired, c *corev1.Container, oc *Observation, now time.Time) {
	if oc.Kill != nil {
		return
	}
	seconds := grace(d.Pod)
	why := ""
	switch {
	case oc.Run.Labels[labelImage] != c.Image:
		why = fmt.Sprintf("Container %s definition changed, will be restarted", c.Name)
	case oc.Unhealthy != "":
		why = fmt.Sprintf("Container %s %s, will be restarted", c.Name, oc.Unhealthy)
		if oc.UnhealthyGrace != nil {
			seconds = time.Duration(*oc.UnhealthyGrace) * time.Second
		}
	case oc.Hook == HookPending:
		p.add(Step{Do: ActHook, Container: c.Name})
		return
	default:
		return
	}
	p.add(Step{Do: ActStop, Container: c.Name, Why: why, Deadline: now.Add(seconds)})
}

// image says whether the container's image is here; if not, it is pulled or waited for.
func (p *Plan) image(c *corev1.Container, oc *Observation, now time.Time) bool {
	i := &oc.Image
	switch {
	case i.Ref == c.Image && i.Running:
		return false
	case i.Ref == c.Image && i.Image != nil:
		return true
	case i.Ref == c.Image && now.Before(i.Retry):
		p.wake(i.Retry)
		if shown := i.FailedAt.Add(pullShown); now.Before(shown) {
			p.wake(shown)
		}
		return false
	}
	p.add(Step{Do: ActPull, Container: c.Name})
	return false
}

// terminate ends a Pod: out of service first, then its containers, then all else.
func (p *Plan) terminate(d *Desired, o *Observed, now time.Time) {
	if !o.Sandbox.Done && o.Sandbox.Failures == 0 {
		p.add(Step{Do: ActPrepare}) // what runs may not be known yet
		return
	}
	if o.anyRunning() && !o.OutOfService {
		if until := routed(d); !until.IsZero() && now.Before(until) {
			p.wake(until)
			return
		}
		p.add(Step{Do: ActOut})
		if lingers(d) {
			return
		}
	}
	if until := o.OutAt.Add(linger); lingers(d) && o.anyRunning() && now.Before(until) && now.Before(d.Deletion.Deadline()) {
		p.wake(until)
		return
	}
	end := d.GoneAt.Add(grace(d.Pod))
	if !d.Gone {
		end = d.Deletion.Deadline()
	}
	if p.stopAll(d, o, now, end, "Stopping container %s") {
		return
	}
	if o.Cleanup.due(now) {
		p.add(Step{Do: ActClean})
	} else {
		p.wake(o.Cleanup.Retry)
	}
}

// routed is until when the Pod still waits for its routes to go; zero is no longer.
func routed(d *Desired) time.Time {
	if d.Gone || d.Routed >= d.Deletion.Revision && d.Deletion.Revision > 0 || d.Deletion.Grace == 0 {
		return time.Time{}
	}
	return d.Deletion.At.Add(routeWait)
}

// lingers says that a Pod gets the time to answer what is on its way.
func lingers(d *Desired) bool { return !d.Gone && d.Deletion.Grace > 0 }

// stopAll ends what runs, sidecars after all others, and says whether anything does.
func (p *Plan) stopAll(d *Desired, o *Observed, now time.Time, end time.Time, why string) bool {
	busy := false
	stop := func(c *corev1.Container) {
		oc := o.container(c.Name)
		if !oc.Run.Running() {
			return
		}
		busy = true
		if oc.Kill != nil && !end.Before(oc.Kill.Deadline) {
			return
		}
		p.add(Step{Do: ActStop, Container: c.Name, Why: fmt.Sprintf(why, c.Name), Deadline: end})
	}
	for i := range d.Pod.Spec.Containers {
		stop(&d.Pod.Spec.Containers[i])
	}
	for i := range d.Pod.Spec.InitContainers {
		if c := &d.Pod.Spec.InitContainers[i]; !sidecar(c) {
			stop(c)
		}
	}
	for i := len(d.Pod.Spec.InitContainers) - 1; i >= 0 && (!busy || !now.Before(end)); i-- {
		if c := &d.Pod.Spec.InitContainers[i]; sidecar(c) {
			stop(c)
		}
	}
	return busy
}

// finished says that a Pod will never run again: all containers ended and none is
// restarted, or an init container failed for good.
func finished(pod *corev1.Pod, o *Observed) bool {
	policy := pod.Spec.RestartPolicy
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		oc := o.Containers[c.Name]
		if !sidecar(c) && oc != nil && oc.Run.Exited() && oc.Run.ExitCode != 0 && policy == corev1.RestartPolicyNever {
			return true
		}
	}
	for i := range pod.Spec.Containers {
		oc := o.Containers[pod.Spec.Containers[i].Name]
		if oc == nil || !oc.Run.Exited() || restarts(policy, oc.Run.ExitCode) {
			return false
		}
	}
	return true
}

func grace(pod *corev1.Pod) time.Duration {
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}
