package reconcile

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

const scheduler = "default-scheduler"

// gated is upstream's sentence about a Pod with gates, which a commit takes away.
const gated = "Scheduling is blocked due to non-empty scheduling gates"

// arrival is how long a node that registers itself may take to become ready before anybody is told.
const arrival = 10 * time.Second

// placement binds every Pod that waits, the most important and oldest first, or says why it waits.
func (d *draft) placement() {
	var waiting []*state.Record
	d.room()
	d.collectEnded()
	for ref := range d.capacity.waiting {
		if r := d.w.Get(ref); r != nil && r.Node == "" && active(r) && !d.uses(r) {
			waiting = append(waiting, r)
		}
	}
	if len(waiting) == 0 {
		return
	}
	slices.SortFunc(waiting, func(a, b *state.Record) int {
		return cmp.Or(
			cmp.Compare(deref(b.Pod().Spec.Priority), deref(a.Pod().Spec.Priority)),
			a.Created.Compare(b.Created),
			a.Ref.Compare(b.Ref),
		)
	})
	patience := d.arriving()
	puts := make([]state.Put, 0, len(waiting))
	for _, r := range waiting {
		if len(r.Pod().Spec.SchedulingGates) > 0 {
			puts = d.refuse(puts, r, corev1.PodReasonSchedulingGated, gated)
			continue
		}
		if waits := d.waitsFor(r); len(waits) > 0 {
			puts = d.refuse(puts, r, corev1.PodReasonSchedulingGated, waitingText(waits))
			continue
		}
		to, why := d.capacity.nodes.Place(r.Pod())
		if to == "" && !patience.IsZero() {
			d.later(patience)
			continue
		}
		if to == "" {
			puts = d.refuse(puts, r, corev1.PodReasonUnschedulable, why)
			continue
		}
		d.occupy(r, to)
		d.capacity.nodes.Assume(r.UID, r.Pod(), to)
		status := scheduled(r, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: d.stamp()})
		puts = append(puts, state.Put{Ref: r.Ref, Node: to, Status: status})
		d.event(r, corev1.EventTypeNormal, "Scheduled", scheduler, "Successfully assigned %s/%s to %s", r.Ref.Namespace, r.Ref.Name, to)
	}
	d.put(puts...)
}

// arriving is until when the node that registers itself has time to become ready: right after it was
// made, Pods that do not fit need not be told so. Zero if it is there, or has taken too long.
func (d *draft) arriving() time.Time {
	r := d.w.Get(manifest.NodeRef(d.options.Node))
	if r == nil || r.Origin != state.Derived || nodeReady(r) {
		return time.Time{}
	}
	until := r.Created.Add(arrival)
	if !until.After(d.now) {
		return time.Time{}
	}
	return until
}

func nodeReady(r *state.Record) bool {
	s, ok := r.Status.(*corev1.NodeStatus)
	return ok && slices.ContainsFunc(s.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// refuse states why a Pod waits, if that is news.
func (d *draft) refuse(puts []state.Put, r *state.Record, reason, why string) []state.Put {
	before := state.PodCondition(r.PodStatus(), corev1.PodScheduled)
	if before != nil && before.Status == corev1.ConditionFalse && before.Message == why {
		return puts
	}
	c := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason,
		Message: why, LastTransitionTime: d.stamp(),
	}
	if before != nil && before.Status == c.Status {
		c.LastTransitionTime = before.LastTransitionTime
	}
	if why == gated {
		return append(puts, state.Put{Ref: r.Ref, Status: scheduled(r, c)}) // upstream tells nobody either
	}
	if reason == corev1.PodReasonSchedulingGated {
		d.event(r, corev1.EventTypeNormal, waitingEvent, scheduler, "%s", why)
	} else {
		d.event(r, corev1.EventTypeWarning, "FailedScheduling", scheduler, "%s", why)
	}
	return append(puts, state.Put{Ref: r.Ref, Status: scheduled(r, c)})
}

// scheduled is the status of a Pod with another PodScheduled condition.
func scheduled(r *state.Record, c corev1.PodCondition) *corev1.PodStatus {
	s := *r.PodStatus()
	s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(o corev1.PodCondition) bool { return o.Type == c.Type })
	s.Conditions = append(s.Conditions, c)
	return &s
}
