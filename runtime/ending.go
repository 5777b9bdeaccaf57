package runtime

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

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
	end := d.end()
	if f := o.Failed; f != nil && f.Leave && f.Until.Before(end) {
		end = f.Until
	}
	if p.stopAll(d, o, now, end) {
		return
	}
	p.try(&o.Cleanup, ActClean, now)
}

// end is until when a Pod that goes may take. What was decided before its record was gone still holds.
func (d *Desired) end() time.Time {
	switch end := d.GoneAt.Add(grace(d.Pod)); {
	case !d.Gone:
		return d.Deletion.Deadline()
	case d.Deletion != nil && d.Deletion.Deadline().Before(end):
		return d.Deletion.Deadline()
	default:
		return end
	}
}

// failed ends what runs of a Pod that the node ended.
func (p *Plan) failed(d *Desired, o *Observed, now time.Time) {
	if !p.prepare(o, now) || o.Left || p.stopAll(d, o, now, o.Failed.deadline(d.Pod, now)) || !o.Failed.Leave {
		return
	}
	p.try(&o.Cleanup, ActLeave, now)
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

// stopAll ends what runs and says whether anything does. preStop of all runs at once; the signal goes to
// sidecars after all others, in the reverse of their order.
func (p *Plan) stopAll(d *Desired, o *Observed, now time.Time, end time.Time) bool {
	main, later := false, false
	for i := range d.Pod.Spec.Containers {
		c := &d.Pod.Spec.Containers[i]
		if oc := o.container(c.Name); oc.Run.Running() {
			main = true
			p.end(c, oc, end, "", now, true)
		}
	}
	for i := len(d.Pod.Spec.InitContainers) - 1; i >= 0; i-- {
		c := &d.Pod.Spec.InitContainers[i]
		oc := o.container(c.Name)
		if !oc.Run.Running() {
			continue
		}
		p.end(c, oc, end, "", now, !sidecar(c) || !main && !later)
		later = later || sidecar(c)
	}
	return main || later || o.anyRunning()
}

// reset ends all containers, without preStop, so that the Pod begins anew in place.
func (p *Plan) reset(d *Desired, o *Observed, now time.Time) {
	if due := resetAt(d.Pod, o); now.Before(due) {
		p.wake(due)
		return
	}
	busy := false
	for c := range containers(&d.Pod.Spec) {
		if oc := o.container(c.Name); oc.Run.Running() {
			busy = true
			deadline := now
			if oc.Kill != nil && oc.Kill.Deadline.Before(now) {
				deadline = oc.Kill.Deadline
			}
			p.end(c, oc, deadline, "killing", now, true)
		}
	}
	if !busy {
		p.try(&o.Reset, ActReset, now)
	}
}

// resetAt is when all containers may begin anew: after the back-off of the one whose exit asked for it.
func resetAt(pod *corev1.Pod, o *Observed) time.Time {
	var at time.Time
	for c := range containers(&pod.Spec) {
		oc := o.Containers[c.Name]
		if oc == nil || !oc.Run.Exited() || oc.Run.Past || !resets(c, oc.Run) {
			continue
		}
		if _, due := next(pod, c, oc); due.After(at) {
			at = due
		}
	}
	return at
}
