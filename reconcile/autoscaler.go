package reconcile

import (
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/reconcile/autoscaler"
	"writ/state"
)

const autoscalerName = "horizontal-pod-autoscaler"

// autoscale computes a HorizontalPodAutoscaler. Of what can be scaled it takes back the size that was decided by one
// that is gone.
func (d *draft) autoscale(r *state.Record) {
	hpa, ok := r.Object.(*autoscalingv2.HorizontalPodAutoscaler)
	if !ok {
		d.unscaled(r)
		return
	}
	if r.Deletion != nil || d.held(r) {
		return
	}
	x := autoscaler.Decide(autoscaler.Input{World: d.w, Autoscaler: r, Rivals: d.autoscalersOf(manifest.ScaleTarget(hpa)), Now: d.now})
	if x.Resized != nil {
		d.put(state.Put{Ref: x.Target.Ref, Allocation: x.Resized, Why: x.Why})
	}
	for _, e := range x.Events {
		d.event(r, e.Type, e.Reason, autoscalerName, "%s", e.Message)
	}
	if !x.Again.IsZero() {
		d.later(x.Again)
	}
	if !x.Scaling.Equal(r.Scaling) {
		d.put(state.Put{Ref: r.Ref, Scaling: &x.Scaling})
	}
	d.setStatus(r, x.Status, "")
}

// unscaled gives back the size that is written once nothing scales an object.
func (d *draft) unscaled(r *state.Record) {
	if a := r.Allocation; a == nil || a.Replicas == nil || len(d.autoscalersOf(r.Ref)) > 0 {
		return
	}
	d.put(state.Put{Ref: r.Ref, Allocation: &state.Allocation{}, Why: "no autoscaler scales it"})
}

// autoscalersOf are those that name an object as their target, by name.
func (d *draft) autoscalersOf(target manifest.Ref) []manifest.Ref {
	var refs []manifest.Ref
	for ref := range d.depends[target] {
		if r := d.w.Get(ref); r != nil && r.Deletion == nil && scaleTarget(r) == target {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, manifest.Ref.Compare)
	return refs
}

// scaleTarget is what an autoscaler scales, zero for everything else.
func scaleTarget(r *state.Record) manifest.Ref {
	if r == nil {
		return manifest.Ref{}
	}
	if hpa, ok := r.Object.(*autoscalingv2.HorizontalPodAutoscaler); ok {
		return manifest.ScaleTarget(hpa)
	}
	return manifest.Ref{}
}

// autoscalerHealth says that an autoscaler can do its work.
func autoscalerHealth(r *state.Record) (State, string) {
	s, _ := r.Status.(*autoscalingv2.HorizontalPodAutoscalerStatus)
	waits := "waits for its first metrics since " + r.Created.UTC().Format(time.RFC3339)
	if s == nil {
		return Progressing, waits
	}
	if c := autoscaler.Condition(s, autoscalingv2.AbleToScale); c != nil && c.Status == corev1.ConditionFalse {
		return Degraded, c.Message
	}
	active := autoscaler.Condition(s, autoscalingv2.ScalingActive)
	switch {
	case active == nil:
		return Progressing, waits
	case active.Reason == "ScalingDisabled":
		return Suspended, active.Message
	case active.Status == corev1.ConditionFalse && early(r) && strings.HasPrefix(active.Reason, "FailedGet"):
		return Progressing, active.Message
	case active.Status == corev1.ConditionFalse:
		return Degraded, active.Message
	}
	if c := autoscaler.Condition(s, autoscalingv2.ScalingLimited); c != nil && c.Status == corev1.ConditionTrue && c.Reason == autoscaler.TooMany {
		return Healthy, c.Message
	}
	return Healthy, ""
}

// early says that nothing was scaled yet, and that the last round of measuring came before much can have been measured.
func early(r *state.Record) bool {
	s := r.Scaling
	return s != nil && s.Scaled.IsZero() && !s.Looked.IsZero() && s.Looked.Before(r.Created.Add(autoscaler.FirstRound))
}
