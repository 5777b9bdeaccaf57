package runtime

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// Action is what a Step does. Each may be repeated.
type Action string

// The actions, in the order of a Pod's life.
const (
	ActPrepare Action = "prepare" // shim, network, cgroup, files; finds what runs already
	ActVolumes Action = "volumes"
	ActPull    Action = "pull"
	ActStart   Action = "start"
	ActHook    Action = "hook"   // postStart
	ActStop    Action = "stop"   // the end of a container begins: preStop
	ActSignal  Action = "signal" // its signal, and SIGKILL at the deadline
	ActReset   Action = "reset"  // forgets all runs: every container begins anew
	ActLeave   Action = "leave"  // nothing stays of an evicted Pod but its status
	ActOut     Action = "out"    // no longer waits for its routes
	ActFail    Action = "fail"   // the node ends the Pod
	ActClean   Action = "clean"
	ActResize  Action = "resize" // limits of what runs
)

// Step is one thing to do for a Pod now.
type Step struct {
	Do        Action
	Container string
	Why       string    // of a stop: for people
	Deadline  time.Time // of a stop
	Anew      bool      // of a stop: another run follows, whatever the policy
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
	// failureShown is how long RunContainerError or PostStartHookError shows before it becomes CrashLoopBackOff.
	failureShown = time.Second
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
		p.failed(d, o, now)
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

// try does what makes something, once it may be tried.
func (p *Plan) try(a *Attempt, do Action, now time.Time) {
	if a.due(now) {
		p.add(Step{Do: do})
	} else {
		p.wake(a.Retry)
	}
}

func (p *Plan) prepare(o *Observed, now time.Time) bool {
	if !o.Sandbox.Done {
		p.try(&o.Sandbox, ActPrepare, now)
	}
	return o.Sandbox.Done
}

// run brings a Pod that is to stay to where it should be.
func (p *Plan) run(d *Desired, o *Observed, now time.Time) {
	if !p.prepare(o, now) {
		return
	}
	if restartsAll(d.Pod, o) {
		p.reset(d, o, now)
		return
	}
	if finished(d.Pod, o) {
		p.stopAll(d, o, now, now.Add(grace(d.Pod)))
		return
	}
	if !o.Volumes.Done {
		p.try(&o.Volumes, ActVolumes, now)
		if !o.begun(&d.Pod.Spec) {
			return // what runs is kept up even if a volume cannot be brought up to date
		}
	}
	p.resize(d, o, now)
	p.wake(o.Refresh)
	if !p.init(d, o, now) {
		return
	}
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		before := len(p.Steps)
		p.keep(d, o, c, now)
		if o.container(c.Name).starting() || len(p.Steps) > before && p.Steps[before].Do == ActStart && postStart(c) != nil {
			return // those after it start once its postStart has ended, as with a kubelet
		}
	}
}

// init goes through the init containers and says whether the others may run.
func (p *Plan) init(d *Desired, o *Observed, now time.Time) bool {
	begun := o.begun(&d.Pod.Spec)
	for i := range d.Pod.Spec.InitContainers {
		c := &d.Pod.Spec.InitContainers[i]
		oc := o.container(c.Name)
		if sidecar(c) {
			p.keep(d, o, c, now)
			if !begun && !started(oc) && !laterBegun(d, o, i) {
				return false
			}
			continue
		}
		if begun || oc.done() || laterBegun(d, o, i) {
			continue
		}
		p.keep(d, o, c, now)
		return false
	}
	return true
}

// laterBegun says that an init container after the i-th was started, so that the
// i-th was done once (its record may be lost).
func laterBegun(d *Desired, o *Observed, i int) bool {
	for _, c := range d.Pod.Spec.InitContainers[i+1:] {
		if oc := o.Containers[c.Name]; oc != nil && oc.Run.present() {
			return true
		}
	}
	return false
}

// started says that a container runs, its hook is done and its startup probe passed.
func started(oc *Observation) bool {
	return oc.Run.Running() && oc.Hook == HookDone && oc.Passed
}

func grace(pod *corev1.Pod) time.Duration {
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return state.Seconds(*s)
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}
