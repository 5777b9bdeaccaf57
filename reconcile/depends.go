package reconcile

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// An object annotated with config.kubernetes.io/depends-on starts no Pod of a new kind until all that
// it names is healthy: a Deployment makes no ReplicaSet for a template that has none, a ReplicaSet no
// first Pod, and a Pod is not bound. What runs already is not held back by what it depends on, neither
// when that fails later nor when a template is gone back to.

// waitingCondition is the type of the condition by which a status says so.
const waitingCondition = "writ.dev/Waiting"

const (
	waitingReason = "DependenciesNotHealthy"
	waitingEvent  = "WaitingForDependencies"
)

// waitsFor is what an object depends on and that is not healthy.
func (d *draft) waitsFor(r *state.Record) (waits []manifest.Ref) {
	for _, ref := range dependencies(r) {
		if !d.arrived(ref) {
			waits = append(waits, ref)
		}
	}
	return waits
}

// dependencies are those of an object that somebody wrote: one with a controller only has its annotations.
func dependencies(r *state.Record) []manifest.Ref {
	if r == nil || r.Object.GetAnnotations()[manifest.DependsOnAnnotation] == "" || metav1.GetControllerOfNoCopy(r.Object) != nil {
		return nil
	}
	refs, err := manifest.DependsOn(r.Object)
	if err != nil { // a mistake of the commit, and adopted by a version that did not know it
		return nil
	}
	return refs
}

// arrived says that nobody needs to wait for an object. It rests on the object's own record alone, the
// Pods of a ReplicaSet aside, which its status follows.
func (d *draft) arrived(ref manifest.Ref) bool {
	r := d.w.Get(ref)
	if r == nil || r.Deletion != nil {
		return false
	}
	switch o := r.Object.(type) {
	case *appsv1.Deployment:
		s, ok := r.Status.(*appsv1.DeploymentStatus)
		want := r.Replicas(o.Spec.Replicas)
		return ok && s.ObservedGeneration >= r.Generation && s.UpdatedReplicas >= want && s.AvailableReplicas >= want && condition(s, waitingCondition) == nil && condition(s, rolledBackCondition) == nil
	case *appsv1.ReplicaSet:
		return d.revision(r).available >= r.Replicas(o.Spec.Replicas)
	case *corev1.ReplicationController:
		return d.revision(r).available >= r.Replicas(o.Spec.Replicas)
	}
	s, _ := Health(d.w, ref)
	return s.OK()
}

func waitingText(waits []manifest.Ref) string {
	names := make([]string, len(waits))
	for i, ref := range waits {
		names[i] = ref.String()
	}
	return "waits for " + strings.Join(names, ", ") + " to be healthy (" + manifest.DependsOnAnnotation + ")"
}

// dependents knows who depends on an object, so that its changes wake them: who waits for it, who reads it as
// configuration, and of a copy of configuration who names it.
type dependents map[manifest.Ref]map[manifest.Ref]bool

func newDependents(w *state.World) dependents {
	x := dependents{}
	for r := range w.Records() {
		x.add(r)
	}
	return x
}

func (x dependents) add(r *state.Record) {
	for _, ref := range append(watched(r), configEdges(r)...) {
		if x[ref] == nil {
			x[ref] = map[manifest.Ref]bool{}
		}
		x[ref][r.Ref] = true
	}
}

// update takes in a change.
func (x dependents) update(c *state.Change) {
	if c.Old != nil && c.New != nil && c.Old.Object == c.New.Object {
		return
	}
	for _, ref := range append(watched(c.Old), configEdges(c.Old)...) {
		if delete(x[ref], c.Ref); len(x[ref]) == 0 {
			delete(x, ref)
		}
	}
	x.add(c.New)
}

// wake yields the keys of those that depend on an object.
func (x dependents) wake(ref manifest.Ref, yield func(Key)) {
	for who := range x[ref] {
		if who.Kind == "Pod" {
			yield(Key{Concern: placement})
		} else {
			keysFor(who, yield)
		}
	}
}
