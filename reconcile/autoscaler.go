package reconcile

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
	"writ/state"
)

const autoscalerName = "horizontal-pod-autoscaler"

// missedRounds is how long no round of measuring may have come before what was recommended is forgotten: the daemon
// was down, or its clock jumped. As after a start of upstream's controller a window of stabilization then begins
// again with the present size.
const missedRounds = 90 * time.Second

// autoscaler is one HorizontalPodAutoscaler in the making of a Plan: upstream's controller for one round of
// measuring. Between rounds only the bounds are held.
type autoscaler struct {
	d      *draft
	r      *state.Record
	hpa    *autoscalingv2.HorizontalPodAutoscaler
	memory state.Scaling
	status *autoscalingv2.HorizontalPodAutoscalerStatus

	target  *state.Record
	current int32 // size that the target is to have now
	pods    []*state.Record
}

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
	x := &autoscaler{d: d, r: r, hpa: hpa, status: &autoscalingv2.HorizontalPodAutoscalerStatus{}}
	if old, ok := r.Status.(*autoscalingv2.HorizontalPodAutoscalerStatus); ok {
		x.status = old.DeepCopy()
	}
	x.remember()
	x.run()
	if next := x.memory; !next.Equal(r.Scaling) {
		x.d.put(state.Put{Ref: r.Ref, Scaling: &next})
	}
	x.d.setStatus(r, x.status, "")
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

// scalable is the size that an object's author wrote and how many Pods it has; false for what has no size.
func scalable(r *state.Record) (written *int32, pods int32, ok bool) {
	switch o := r.Object.(type) {
	case *appsv1.Deployment:
		s, _ := r.Status.(*appsv1.DeploymentStatus)
		return o.Spec.Replicas, count(s, func() int32 { return s.Replicas }), true
	case *appsv1.ReplicaSet:
		s, _ := r.Status.(*appsv1.ReplicaSetStatus)
		return o.Spec.Replicas, count(s, func() int32 { return s.Replicas }), true
	case *appsv1.StatefulSet:
		s, _ := r.Status.(*appsv1.StatefulSetStatus)
		return o.Spec.Replicas, count(s, func() int32 { return s.Replicas }), true
	case *corev1.ReplicationController:
		s, _ := r.Status.(*corev1.ReplicationControllerStatus)
		return o.Spec.Replicas, count(s, func() int32 { return s.Replicas }), true
	}
	return nil, 0, false
}

func count[T any](s *T, n func() int32) int32 {
	if s == nil {
		return 0
	}
	return n()
}

// remember takes what the autoscaler knew, without what a new target or a pause made worthless.
func (x *autoscaler) remember() {
	if old := x.r.Scaling; old != nil && old.Target == manifest.ScaleTarget(x.hpa) {
		x.memory = *old
	}
	if old := x.r.Scaling; old != nil {
		x.memory.Looked = old.Looked
	}
	x.memory.Target = manifest.ScaleTarget(x.hpa)
}

// now as it comes back from disk.
func (x *autoscaler) now() time.Time { return x.d.now.Round(0).UTC() }

// run holds the bounds, and decides a size once there is a round that was not considered yet.
func (x *autoscaler) run() {
	if !x.found() {
		return
	}
	written, _, _ := scalable(x.target)
	x.current = replicasOf(x.target, written)
	if deref(written) == 0 { // its author switched it off
		x.current = 0
		if a := x.target.Allocation; a != nil && a.Replicas != nil {
			x.d.put(state.Put{Ref: x.target.Ref, Allocation: &state.Allocation{}, Why: "scaling is disabled: spec.replicas is 0"})
		}
	}
	if x.memory.Recommended == nil {
		x.memory.Recommended = []state.Resized{{Replicas: x.current, At: x.now()}}
	}
	round := x.round()
	if able := scalingCondition(x.status, autoscalingv2.AbleToScale); round != nil || able == nil || able.Status != corev1.ConditionTrue {
		x.set(autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	}
	if round != nil {
		x.resume(round.At)
	}
	switch least := x.least(); {
	case x.current == 0:
		x.set(autoscalingv2.ScalingActive, corev1.ConditionFalse, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
		x.report(nil, 0)
	case x.current > x.hpa.Spec.MaxReplicas:
		x.resize(x.hpa.Spec.MaxReplicas, "Current number of replicas above Spec.MaxReplicas")
	case x.current < least:
		x.resize(least, "Current number of replicas below Spec.MinReplicas")
	case round != nil:
		x.decide(round)
	case scalingCondition(x.status, autoscalingv2.ScalingActive) == nil: // nothing was measured yet
		x.status.CurrentReplicas, x.status.DesiredReplicas = x.current, x.current
	}
}

func (x *autoscaler) least() int32 {
	if x.hpa.Spec.MinReplicas == nil {
		return 1
	}
	return *x.hpa.Spec.MinReplicas
}

// found looks for the target.
func (x *autoscaler) found() bool {
	ref := x.memory.Target
	x.target = x.d.w.Get(ref)
	trouble := ""
	switch {
	case x.target == nil && !manifest.IsKnown(ref.GroupKind()):
		trouble = fmt.Sprintf("no matches for kind %q in group %q", ref.Kind, ref.Group)
	case x.target == nil || x.target.Deletion != nil:
		trouble = fmt.Sprintf("%s %q not found", resourceOf(ref), ref.Name)
	default:
		if _, _, ok := scalable(x.target); ok {
			return true
		}
		trouble = "the server could not find the requested resource"
	}
	message := "the HPA controller was unable to get the target's current scale: " + trouble
	if c := scalingCondition(x.status, autoscalingv2.AbleToScale); c == nil || c.Message != message {
		x.event(corev1.EventTypeWarning, "FailedGetScale", "%s", trouble)
	}
	x.set(autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedGetScale", message)
	return false
}

// round is the last round of measuring, nil if it was considered already or asked for other metrics.
func (x *autoscaler) round() *state.Metrics {
	m := x.r.Metrics
	if m == nil || m.At.Equal(x.memory.Looked) || len(m.Results) != len(x.hpa.Spec.Metrics) {
		return nil
	}
	for i := range m.Results {
		if m.Results[i].Metric != MetricKey(&x.hpa.Spec.Metrics[i]) {
			return nil
		}
	}
	return m
}

// resume notes that a round is considered. After a gap, or with a clock that was set back, nothing that is
// remembered says how long ago it was.
func (x *autoscaler) resume(at time.Time) {
	gap := at.Sub(x.memory.Looked)
	if !x.memory.Looked.IsZero() && (gap > missedRounds || gap < 0) {
		x.memory.Recommended = []state.Resized{{Replicas: x.current, At: x.now()}}
	}
	x.memory.Up, x.memory.Down = notAfter(x.memory.Up, x.now()), notAfter(x.memory.Down, x.now())
	x.memory.Looked = at
}

// notAfter takes what lies in the future as of now.
func notAfter(list []state.Resized, now time.Time) []state.Resized {
	list = slices.Clone(list)
	for i := range list {
		if list[i].At.After(now) {
			list[i].At = now
		}
	}
	return list
}

// decide is one round of upstream's controller.
func (x *autoscaler) decide(round *state.Metrics) {
	selector := manifest.Selector(x.target.Object)
	x.pods = slices.Collect(x.d.w.Select("", "Pod", x.r.Ref.Namespace, selector))
	wanted, by, current, ok := x.proposal(round, selector)
	if !ok {
		x.report(current, x.status.DesiredReplicas)
		return
	}
	reason := ""
	switch {
	case wanted > x.current:
		reason = by + " above target"
	case wanted < x.current:
		reason = "All metrics below target"
	}
	if x.hpa.Spec.Behavior == nil {
		wanted = x.limit(wanted)
	} else {
		wanted = x.behave(wanted)
	}
	if wanted != x.current {
		x.status.CurrentMetrics = current
		x.resize(wanted, reason)
		return
	}
	x.report(current, x.current)
}

// resize gives the target another size.
func (x *autoscaler) resize(n int32, reason string) {
	next := state.Allocation{}
	if a := x.target.Allocation; a != nil {
		next = *a
	}
	next.Replicas = &n
	why := reason
	if why == "" { // upstream gives none where what was recommended before decides
		why = "higher recommendations before"
	}
	x.d.put(state.Put{Ref: x.target.Ref, Allocation: &next, Why: fmt.Sprintf("%s: %s", x.r.Ref, why)})
	x.event(corev1.EventTypeNormal, "SuccessfulRescale", "New size: %d; reason: %s", n, reason)
	x.set(autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededRescale", fmt.Sprintf("the HPA controller was able to update the target scale to %d", n))
	x.scaled(n)
	x.memory.Scaled = x.now()
	x.report(x.status.CurrentMetrics, n)
}

// report puts the outcome into the status.
func (x *autoscaler) report(metrics []autoscalingv2.MetricStatus, desired int32) {
	x.status.CurrentReplicas, x.status.DesiredReplicas, x.status.CurrentMetrics = x.current, desired, metrics
	if at := x.memory.Scaled; !at.IsZero() {
		stamp := x.d.stamp()
		stamp.Time = at.Truncate(time.Second).UTC()
		x.status.LastScaleTime = &stamp
	}
}

func (x *autoscaler) event(kind, reason, format string, args ...any) {
	x.d.event(x.r, kind, reason, autoscalerName, format, args...)
}

// set is upstream's setCondition: only another status moves the time.
func (x *autoscaler) set(kind autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, message string) {
	c := scalingCondition(x.status, kind)
	if c == nil {
		x.status.Conditions = append(x.status.Conditions, autoscalingv2.HorizontalPodAutoscalerCondition{Type: kind})
		c = &x.status.Conditions[len(x.status.Conditions)-1]
	}
	if c.Status != status {
		c.LastTransitionTime = x.d.stamp()
	}
	c.Status, c.Reason, c.Message = status, reason, message
}

func scalingCondition(s *autoscalingv2.HorizontalPodAutoscalerStatus, kind autoscalingv2.HorizontalPodAutoscalerConditionType) *autoscalingv2.HorizontalPodAutoscalerCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}

// ambiguous says that Pods of the target are scaled by others too.
func (x *autoscaler) ambiguous(selector labels.Selector) string {
	all := x.d.autoscalersOf(x.target.Ref)
	if len(all) < 2 {
		return ""
	}
	names := make([]string, len(all))
	for i, ref := range all {
		names[i] = "{" + ref.Namespace + " " + ref.Name + "}"
	}
	return fmt.Sprintf("pods by selector %v are controlled by multiple HPAs: %v", selector, names)
}
