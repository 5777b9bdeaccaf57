package reconcile

import (
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

func (d *draft) daemonSetStatus(r *state.Record) {
	if r.Deletion != nil {
		return
	}
	x := d.daemons(r)
	if x == nil {
		return
	}
	before, _ := r.Status.(*appsv1.DaemonSetStatus)
	if before == nil {
		before = &appsv1.DaemonSetStatus{}
	}
	next := x.counts()
	next.CollisionCount = before.CollisionCount
	next.ObservedGeneration = d.generation(r)
	next.Conditions = before.Conditions
	x.conditions(next)
	d.staying(r, "spec.template", x.staying())
	d.setStatus(r, next, "")
	if x.current != nil {
		d.annotate(r, appsv1.DeprecatedTemplateGeneration, strconv.FormatInt(revisionIn(x.current).Revision, 10), "")
	}
	x.truncate()
	d.rolledHistory(r, x.current, next.UpdatedNumberScheduled == next.DesiredNumberScheduled && next.NumberAvailable == next.DesiredNumberScheduled)
}

// counts are upstream's: of every node its oldest Pod stands for it.
func (x *daemonSet) counts() *appsv1.DaemonSetStatus {
	s := &appsv1.DaemonSetStatus{DesiredNumberScheduled: int32(x.desired)}
	for _, n := range x.nodes {
		switch {
		case n.r == nil || len(n.pods) == 0:
		case !n.fit.Runs:
			s.NumberMisscheduled++
		default:
			s.CurrentNumberScheduled++
			p := n.pods[0]
			if podReady(p) {
				s.NumberReady++
			}
			if podReady(p) && x.available(p) {
				s.NumberAvailable++
			}
			if x.updated(p) {
				s.UpdatedNumberScheduled++
			}
		}
	}
	s.NumberUnavailable = s.DesiredNumberScheduled - s.NumberAvailable
	return s
}

// staying are the Pods of the repository on nodes that are not to have them, or have one.
func (x *daemonSet) staying() (pods []*state.Record) {
	for _, n := range x.nodes {
		own := slices.DeleteFunc(n.living(), func(p *state.Record) bool { return !standsAuthored(p) })
		if len(own) > 0 && (n.fit.Runs || n.fit.Stays) {
			own = own[1:]
		}
		pods = append(pods, own...)
	}
	return pods
}

// conditions say why Pods are missing: they are not admitted, or wait for what the DaemonSet depends on.
func (x *daemonSet) conditions(s *appsv1.DaemonSetStatus) {
	waits, failure := "", ""
	if !x.d.uses(x.r) {
		if s.CurrentNumberScheduled < s.DesiredNumberScheduled && x.current != nil {
			if _, err := x.admitted(); err != nil {
				failure = err.Error()
			}
		}
		if refs := x.waits(); len(refs) > 0 {
			waits = waitingText(refs)
		}
	}
	before := ""
	s.Conditions, _ = daemonConditions().say(s.Conditions, failureCondition, "FailedCreate", failure, x.d.stamp())
	if s.Conditions, before = daemonConditions().say(s.Conditions, waitingCondition, waitingReason, waits, x.d.stamp()); waits != "" && before == "" {
		x.d.event(x.r, corev1.EventTypeNormal, waitingEvent, daemonSetController, "%s", waits)
	}
}

func (x *daemonSet) failedBefore(err error) bool {
	s, ok := x.r.Status.(*appsv1.DaemonSetStatus)
	return ok && daemonConditions().says(s.Conditions, failureCondition) == err.Error()
}

func daemonSetHealth(w *state.World, r *state.Record, ds *appsv1.DaemonSet) (State, string) {
	s, _ := r.Status.(*appsv1.DaemonSetStatus)
	if s == nil || s.ObservedGeneration < r.Generation {
		return Progressing, "not looked at yet"
	}
	if why := daemonConditions().says(s.Conditions, failureCondition); why != "" {
		return Degraded, why
	}
	if why := daemonConditions().says(s.Conditions, waitingCondition); why != "" {
		return Progressing, why
	}
	rolls := ds.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType
	switch {
	case s.DesiredNumberScheduled == 0:
		if name := awaitedNode(w, ds); name != "" {
			return Progressing, "waits for node " + name + " to be ready"
		}
		return Healthy, "no node is to have a pod"
	case s.CurrentNumberScheduled < s.DesiredNumberScheduled:
		return worse(fmt.Sprintf("%d of %d nodes have a pod", s.CurrentNumberScheduled, s.DesiredNumberScheduled), sick(w, r))
	case rolls && s.UpdatedNumberScheduled < s.DesiredNumberScheduled:
		return worse(fmt.Sprintf("%d of %d pods have been updated", s.UpdatedNumberScheduled, s.DesiredNumberScheduled), sick(w, r))
	case s.NumberAvailable < s.DesiredNumberScheduled:
		return worse(fmt.Sprintf("%d of %d pods are available", s.NumberAvailable, s.DesiredNumberScheduled), sick(w, r))
	}
	return Healthy, ""
}

// awaitedNode is the first node by name that is to have a Pod once it is ready, empty if there is none.
func awaitedNode(w *state.World, ds *appsv1.DaemonSet) string {
	fits := fitting(ds)
	for n := range w.Nodes() {
		o, ok := n.Object.(*corev1.Node)
		if !ok {
			continue
		}
		status, _ := n.Status.(*corev1.NodeStatus)
		if fit := fits.On(o, status); fit.Waited && !fit.Runs {
			return n.Ref.Name
		}
	}
	return ""
}
