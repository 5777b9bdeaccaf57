// Package autoscaler decides the size that a HorizontalPodAutoscaler gives its target: a function of what was measured,
// of what it decided before and of the Pods that are there. It follows upstream's controller, rounding and words included.
package autoscaler

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

// missedRounds is how long no round of measuring may have come before what was recommended is forgotten: the daemon
// was down, or its clock jumped. As after a start of upstream's controller a window of stabilization then begins
// again with the present size.
const missedRounds = 90 * time.Second

// FirstRound is how long the first round of measuring may take to come: a round, and a minute that what is measured is
// a rate over.
const FirstRound = 15*time.Second + time.Minute

// Input is what a Decision rests on.
type Input struct {
	World      *state.World
	Autoscaler *state.Record
	Rivals     []manifest.Ref // the autoscalers of its target, itself among them, by name
	Now        time.Time
}

// Decision is what becomes of an autoscaler and of its target.
type Decision struct {
	Status  *autoscalingv2.HorizontalPodAutoscalerStatus
	Scaling state.Scaling
	Target  *state.Record     // nil if it is not there
	Resized *state.Allocation // the target's from now on; nil leaves it
	Why     string            // it is resized
	Events  []Event
	Again   time.Time // when time alone changes the decision; zero is never
}

// Event tells people about the autoscaler.
type Event struct{ Type, Reason, Message string }

// Decide is upstream's controller for one round of measuring. Between rounds only the bounds are held.
func Decide(in Input) Decision {
	x := &scaler{Input: in, hpa: in.Autoscaler.Object.(*autoscalingv2.HorizontalPodAutoscaler)}
	x.remember()
	x.run()
	return x.Decision
}

// scaler is a Decision in the making.
type scaler struct {
	Input
	Decision
	hpa     *autoscalingv2.HorizontalPodAutoscaler
	current int32 // size that the target is to have now
	pods    []*state.Record
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

// remember takes what the autoscaler knew and said, without what a new target or a pause made worthless.
func (x *scaler) remember() {
	x.Status = &autoscalingv2.HorizontalPodAutoscalerStatus{}
	if old, ok := x.Autoscaler.Status.(*autoscalingv2.HorizontalPodAutoscalerStatus); ok {
		x.Status = old.DeepCopy()
	}
	if old := x.Autoscaler.Scaling; old != nil && old.Target == manifest.ScaleTarget(x.hpa) {
		x.Scaling = *old
	}
	if old := x.Autoscaler.Scaling; old != nil {
		x.Scaling.Looked = old.Looked
	}
	x.Scaling.Target = manifest.ScaleTarget(x.hpa)
}

// wall is now as it comes back from disk.
func (x *scaler) wall() time.Time { return x.Now.Round(0).UTC() }

// run holds the bounds, and decides a size once there is a round that was not considered yet.
func (x *scaler) run() {
	if !x.found() {
		return
	}
	written, _, _ := scalable(x.Target)
	x.current = x.Target.Replicas(written)
	if written == nil || *written == 0 { // its author switched it off
		x.current = 0
		if a := x.Target.Allocation; a != nil && a.Replicas != nil {
			x.Resized, x.Why = &state.Allocation{}, "scaling is disabled: spec.replicas is 0"
		}
	}
	if x.Scaling.Recommended == nil {
		x.Scaling.Recommended = []state.Resized{{Replicas: x.current, At: x.wall()}}
	}
	round := x.round()
	if able := Condition(x.Status, autoscalingv2.AbleToScale); round != nil || able == nil || able.Status != corev1.ConditionTrue {
		x.set(autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	}
	if round != nil {
		x.resume(round.At)
		x.Status.Conditions = slices.DeleteFunc(slices.Clone(x.Status.Conditions), func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool {
			return c.Reason == noRound
		})
	}
	switch least := x.least(); {
	case x.current == 0:
		x.set(autoscalingv2.ScalingActive, corev1.ConditionFalse, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
		x.report(nil, 0)
	case x.current > x.hpa.Spec.MaxReplicas:
		x.resize(x.hpa.Spec.MaxReplicas, nil, "Current number of replicas above Spec.MaxReplicas")
	case x.current < least:
		x.resize(least, nil, "Current number of replicas below Spec.MinReplicas")
	case round != nil:
		x.decide(round)
	case x.Scaling.Looked.IsZero() && Condition(x.Status, autoscalingv2.ScalingActive) == nil:
		x.await()
	}
}

// noRound is the reason of an autoscaler that waits for its first round for longer than it should.
const noRound = "FailedGetMetrics"

// await is for an autoscaler of which nothing was measured yet.
func (x *scaler) await() {
	if x.Scaling.Scaled.IsZero() {
		x.Status.CurrentReplicas, x.Status.DesiredReplicas = x.current, x.current
	}
	if due := x.Autoscaler.Created.Add(FirstRound); due.After(x.Now) {
		x.Again = due
		return
	}
	x.set(autoscalingv2.ScalingActive, corev1.ConditionFalse, noRound, fmt.Sprintf("nothing was measured within %s of %s", FirstRound, x.Autoscaler.Created.UTC().Format(time.RFC3339)))
}

func (x *scaler) least() int32 {
	if x.hpa.Spec.MinReplicas == nil {
		return 1
	}
	return *x.hpa.Spec.MinReplicas
}

// found looks for the target.
func (x *scaler) found() bool {
	ref := x.Scaling.Target
	x.Target = x.World.Get(ref)
	trouble := ""
	switch {
	case x.Target == nil && !manifest.IsKnown(ref.GroupKind()):
		trouble = fmt.Sprintf("no matches for kind %q in group %q", ref.Kind, ref.Group)
	case x.Target == nil || x.Target.Deletion != nil:
		trouble = fmt.Sprintf("%s %q not found", resourceOf(ref), ref.Name)
	default:
		if _, _, ok := scalable(x.Target); ok {
			return true
		}
		trouble = "the server could not find the requested resource"
	}
	message := "the HPA controller was unable to get the target's current scale: " + trouble
	if c := Condition(x.Status, autoscalingv2.AbleToScale); c == nil || c.Message != message {
		x.event(corev1.EventTypeWarning, "FailedGetScale", "%s", trouble)
	}
	x.set(autoscalingv2.AbleToScale, corev1.ConditionFalse, "FailedGetScale", message)
	return false
}

// round is the last round of measuring, nil if it was considered already or asked for other metrics.
func (x *scaler) round() *state.Metrics {
	m := x.Autoscaler.Metrics
	if m == nil || m.At.Equal(x.Scaling.Looked) || len(m.Results) != len(x.hpa.Spec.Metrics) {
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
func (x *scaler) resume(at time.Time) {
	gap := at.Sub(x.Scaling.Looked)
	if !x.Scaling.Looked.IsZero() && (gap > missedRounds || gap < 0) {
		x.Scaling.Recommended = []state.Resized{{Replicas: x.current, At: x.wall()}}
	}
	x.Scaling.Up, x.Scaling.Down = notAfter(x.Scaling.Up, x.wall()), notAfter(x.Scaling.Down, x.wall())
	x.Scaling.Looked = at
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
func (x *scaler) decide(round *state.Metrics) {
	selector := manifest.Selector(x.Target.Object)
	x.pods = slices.Collect(x.World.Select("", "Pod", x.Autoscaler.Ref.Namespace, selector))
	wanted, by, current, ok := x.proposal(round, selector)
	if !ok {
		x.report(current, x.Status.DesiredReplicas)
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
		x.resize(wanted, current, reason)
		return
	}
	x.report(current, x.current)
}

// resize gives the target another size, for what was measured: nothing where the bounds alone decide.
func (x *scaler) resize(n int32, measured []autoscalingv2.MetricStatus, reason string) {
	next := state.Allocation{}
	if a := x.Target.Allocation; a != nil {
		next = *a
	}
	next.Replicas = &n
	why := reason
	if why == "" { // upstream gives none where what was recommended before decides
		why = "higher recommendations before"
	}
	x.Resized, x.Why = &next, fmt.Sprintf("%s: %s", x.Autoscaler.Ref, why)
	x.event(corev1.EventTypeNormal, "SuccessfulRescale", "New size: %d; reason: %s", n, reason)
	x.set(autoscalingv2.AbleToScale, corev1.ConditionTrue, "SucceededRescale", fmt.Sprintf("the HPA controller was able to update the target scale to %d", n))
	x.scaled(n)
	x.Scaling.Scaled = x.wall()
	x.report(measured, n)
}

// report puts the outcome into the status.
func (x *scaler) report(metrics []autoscalingv2.MetricStatus, desired int32) {
	x.Status.CurrentReplicas, x.Status.DesiredReplicas, x.Status.CurrentMetrics = x.current, desired, metrics
	if at := x.Scaling.Scaled; !at.IsZero() {
		stamp := state.Stamp(at)
		x.Status.LastScaleTime = &stamp
	}
}

func (x *scaler) event(kind, reason, format string, args ...any) {
	x.Events = append(x.Events, Event{kind, reason, fmt.Sprintf(format, args...)})
}

// set is upstream's setCondition: only another status moves the time.
func (x *scaler) set(kind autoscalingv2.HorizontalPodAutoscalerConditionType, status corev1.ConditionStatus, reason, message string) {
	c := Condition(x.Status, kind)
	if c == nil {
		x.Status.Conditions = append(x.Status.Conditions, autoscalingv2.HorizontalPodAutoscalerCondition{Type: kind})
		c = &x.Status.Conditions[len(x.Status.Conditions)-1]
	}
	if c.Status != status {
		c.LastTransitionTime = state.Stamp(x.Now)
	}
	c.Status, c.Reason, c.Message = status, reason, message
}

// Condition is the one of a kind, nil if there is none.
func Condition(s *autoscalingv2.HorizontalPodAutoscalerStatus, kind autoscalingv2.HorizontalPodAutoscalerConditionType) *autoscalingv2.HorizontalPodAutoscalerCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}

// ambiguous says that Pods of the target are scaled by others too.
func (x *scaler) ambiguous(selector labels.Selector) string {
	if len(x.Rivals) < 2 {
		return ""
	}
	names := make([]string, len(x.Rivals))
	for i, ref := range x.Rivals {
		names[i] = "{" + ref.Namespace + " " + ref.Name + "}"
	}
	return fmt.Sprintf("pods by selector %v are controlled by multiple HPAs: %v", selector, names)
}
