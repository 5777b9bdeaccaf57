package reconcile

import (
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/schedule"
	"writ/state"
)

// taintManager is upstream's name for who evicts.
const taintManager = "taint-eviction-controller"

// taintedSince gives the NoExecute taints of a declared Node the time at which each came, which
// tolerationSeconds count from; a taint that was there before keeps its own.
func (d *draft) taintedSince(n *corev1.Node, before *state.Record) *corev1.Node {
	var old []corev1.Taint
	if before != nil {
		if o, ok := before.Object.(*corev1.Node); ok {
			old = o.Spec.Taints
		}
	}
	copied := false
	for i := range n.Spec.Taints {
		t := &n.Spec.Taints[i]
		if t.Effect != corev1.TaintEffectNoExecute || t.TimeAdded != nil {
			continue
		}
		if !copied {
			n, copied = n.DeepCopy(), true
			t = &n.Spec.Taints[i]
		}
		since := d.stamp()
		if at := slices.IndexFunc(old, func(o corev1.Taint) bool { return t.MatchTaint(&o) }); at >= 0 && old[at].TimeAdded != nil {
			since = *old[at].TimeAdded
		}
		t.TimeAdded = &since
	}
	return n
}

// driveOut ends a Pod that may not stay on its node, and says whether it did.
func (d *draft) driveOut(r, on *state.Record) bool {
	if r.Deletion != nil || terminal(r) || d.stays(r, on) {
		return false
	}
	d.event(r, corev1.EventTypeNormal, "TaintManagerEviction", taintManager, "Marking for deletion Pod %s/%s", r.Ref.Namespace, r.Ref.Name)
	d.end(r, state.DrivenOut)
	return true
}

// stays says that no taint of its node drives a Pod out now. Where it may stay for a while only, the
// Pod is looked at again then.
func (d *draft) stays(r *state.Record, on *state.Record) bool {
	n, ok := on.Object.(*corev1.Node)
	pod := r.Pod()
	if !ok || pod == nil {
		return true
	}
	for i := range n.Spec.Taints {
		t := &n.Spec.Taints[i]
		if t.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		until, tolerated := toleratedUntil(t, pod.Spec.Tolerations, boundAt(r))
		if !tolerated || !until.IsZero() && !until.After(d.now) {
			return false
		}
		if !until.IsZero() {
			d.later(until)
		}
	}
	return true
}

// driven says whether the taints that drive Pods out differ between two states of a node.
func driven(old, next *state.Record) bool {
	return !slices.EqualFunc(driving(old), driving(next), func(a, b corev1.Taint) bool { return a.MatchTaint(&b) && a.Value == b.Value })
}

func driving(r *state.Record) []corev1.Taint {
	if r == nil {
		return nil
	}
	n, ok := r.Object.(*corev1.Node)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectNoExecute })
}

// boundAt is since when a Pod is on its node.
func boundAt(r *state.Record) time.Time {
	if c := state.PodCondition(r.PodStatus(), corev1.PodScheduled); c != nil {
		return c.LastTransitionTime.Time
	}
	return r.Created
}

// toleratedUntil is until when a taint is tolerated: for as long as the first toleration that matches says,
// as upstream has it, from when both taint and Pod were there; without end if it does not say.
func toleratedUntil(t *corev1.Taint, tolerations []corev1.Toleration, bound time.Time) (until time.Time, tolerated bool) {
	at := slices.IndexFunc(tolerations, func(o corev1.Toleration) bool { return schedule.Tolerates(&o, t) })
	if at < 0 || tolerations[at].TolerationSeconds == nil {
		return time.Time{}, at >= 0
	}
	since := bound
	if t.TimeAdded != nil && t.TimeAdded.After(since) {
		since = t.TimeAdded.Time
	}
	// What is no duration any more is longer than anything that runs.
	seconds := min(max(*tolerations[at].TolerationSeconds, 0), math.MaxInt64/int64(time.Second))
	return since.Add(time.Duration(seconds) * time.Second), true
}
