package runtime

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// keep brings one container to where it should be.
func (p *Plan) keep(d *Desired, o *Observed, c *corev1.Container, now time.Time) {
	oc := o.container(c.Name)
	if oc.Run.Running() {
		p.keepRunning(d, o, c, oc, now)
		return
	}
	if oc.Run != nil && !oc.Run.Exited() {
		return // being started
	}
	level, due := next(d.Pod, c, oc)
	if level < 0 {
		return
	}
	if now.Before(due) {
		p.wake(due)
		if shown := oc.Run.FinishedAt.Add(failureShown); now.Before(shown) && startFailure(oc) != nil {
			p.wake(shown)
		}
		return
	}
	if !p.images(d, o, c, oc, now) {
		return
	}
	if oc.Create.Err != nil && now.Before(oc.Create.Retry) {
		p.wake(oc.Create.Retry)
		return
	}
	p.add(Step{Do: ActStart, Container: c.Name, Level: level})
}

// next is the back-off level of the run after one that ended, and from when on it may start. The level is
// -1 if there is none.
func next(pod *corev1.Pod, c *corev1.Container, oc *Observation) (level int, due time.Time) {
	r, was := oc.Run, 0
	if r != nil {
		was, _ = strconv.Atoi(r.Labels[labelLevel])
	}
	switch {
	case r == nil, oc.Anew:
		return 0, due
	case r.Past && (again(pod, c, r) || initContainer(pod, c)):
		return was, due // if there was something to wait for, it was waited for before
	case !restarts(pod, c, r.ExitCode):
		return -1, due // also with another image
	case r.Labels[labelImage] != c.Image:
		return 0, due
	}
	level = levelAfter(was, ran(r))
	return level, r.FinishedAt.Add(restartDelay(level - 1))
}

func ran(r *Run) time.Duration {
	if r.StartedAt.IsZero() {
		return 0
	}
	return r.FinishedAt.Sub(r.StartedAt)
}

func (p *Plan) keepRunning(d *Desired, o *Observed, c *corev1.Container, oc *Observation, now time.Time) {
	if oc.Kill != nil {
		p.end(c, oc, oc.Kill.Deadline, "", now, true)
		return
	}
	patience := grace(d.Pod)
	why, anew := "", false
	switch {
	case oc.Run.Labels[labelImage] != c.Image && (sidecar(c) || !initContainer(d.Pod, c)):
		anew = true
		why = what(d.Pod, c) + " definition changed"
		if !initContainer(d.Pod, c) {
			why += ", will be restarted"
		}
	case o.Resize.adjustment(c) == AdjustRestart:
		why = fmt.Sprintf("Container %s resize requires restart", c.Name)
		anew = true
	case oc.Unhealthy == unhealthyHook:
		why = unhealthyHook
	case oc.Unhealthy != "":
		why = what(d.Pod, c) + " " + oc.Unhealthy
		if !initContainer(d.Pod, c) && restartsKilled(d.Pod, c) {
			why += ", will be restarted"
		}
		if oc.UnhealthyGrace != nil {
			patience = state.Seconds(*oc.UnhealthyGrace)
		}
	case oc.Hook == HookPending:
		p.add(Step{Do: ActHook, Container: c.Name})
		return
	default:
		return
	}
	p.add(Step{Do: ActStop, Container: c.Name, Why: why, Deadline: now.Add(patience), Anew: anew})
}

func what(pod *corev1.Pod, c *corev1.Container) string {
	if initContainer(pod, c) {
		return "Init container " + c.Name
	}
	return "Container " + c.Name
}

// end brings the end of a running container on: its preStop, and once it is the container's turn or the
// deadline is there, its signal.
func (p *Plan) end(c *corev1.Container, oc *Observation, deadline time.Time, why string, now time.Time, turn bool) {
	switch k := oc.Kill; {
	case k == nil || deadline.Before(k.Deadline):
		if why == "" {
			why = fmt.Sprintf("Stopping container %s", c.Name)
		}
		p.add(Step{Do: ActStop, Container: c.Name, Why: why, Deadline: deadline})
	case k.Asked:
	case k.Hooked && turn || !now.Before(k.Deadline):
		p.add(Step{Do: ActSignal, Container: c.Name, Deadline: k.Deadline})
	default:
		p.wake(k.Deadline)
	}
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
