package reconcile

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// A Deployment annotated with writ.dev/rollback-on-failure: "true" whose rollout misses progressDeadlineSeconds returns
// to the last template whose rollout was complete, with the configuration that it had then. It stays there until a
// commit changes what failed (the template, or what it reads of ConfigMaps and Secrets), and says so all the while: the
// repository asks for something that does not run.

// RolledBackAnnotation is computed for a Deployment that returned to an earlier template: "FAILED->LAST@COMMIT", the
// ReplicaSets and the commit that the failed rollout began with.
const RolledBackAnnotation = "writ.dev/rolled-back"

// rolledBackCondition is the type of the condition by which a Deployment says so.
const rolledBackCondition = "writ.dev/RolledBack"

// rolledBack is what RolledBackAnnotation says.
type rolledBack struct{ failed, last, commit string }

func rolledBackOf(r *state.Record) (b rolledBack, ok bool) {
	failed, rest, ok := strings.Cut(r.Annotations[RolledBackAnnotation], "->")
	b.failed = failed
	b.last, b.commit, _ = strings.Cut(rest, "@")
	return b, ok
}

func (b rolledBack) String() string { return b.failed + "->" + b.last + "@" + b.commit }

// returned is the ReplicaSet that the Deployment went back to for as long as t is what failed; nil if it goes on with t.
func (x *deployment) returned(t *corev1.PodTemplateSpec) *state.Record {
	b, ok := rolledBackOf(x.r)
	if !ok || x.dep.Annotations[manifest.RollbackOnFailure] != "true" {
		return nil
	}
	failed, last := x.setNamed(b.failed), x.setNamed(b.last)
	if failed == nil || last == nil || !holds(failed, t) {
		return nil
	}
	return last
}

// setNamed is a ReplicaSet of the Deployment by name, or nil.
func (x *deployment) setNamed(name string) *state.Record {
	r := x.d.w.Get(manifest.ReplicaSetRef(x.r.Ref.Namespace, name))
	if r == nil || r.Deletion != nil || controller(x.d.w, r) == nil || controller(x.d.w, r).UID != x.r.UID {
		return nil
	}
	return r
}

// holds says that a ReplicaSet is of a template.
func holds(r *state.Record, t *corev1.PodTemplateSpec) bool {
	return findNew(&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: *t}}, []*state.Record{r}) != nil
}

// goneBack says in the status that the Deployment returned to an earlier template. Its progress is that of the rollout
// which failed: whoever waits for that is not told that it succeeded.
func (x *deployment) goneBack(s *appsv1.DeploymentStatus) bool {
	if x.last == nil {
		s.Conditions = without(s.Conditions, rolledBackCondition)
		if x.r.Annotations[RolledBackAnnotation] != "" {
			x.d.annotate(x.r, RolledBackAnnotation, "", "another template")
		}
		return false
	}
	b, _ := rolledBackOf(x.r)
	late := fmt.Sprintf("ReplicaSet %q has timed out progressing.", b.failed)
	x.set(s, appsv1.DeploymentProgressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", late)
	x.set(s, rolledBackCondition, corev1.ConditionTrue, "ProgressDeadlineExceeded", x.rolledBackText(b, ""))
	return true
}

func (x *deployment) rolledBackText(b rolledBack, why string) string {
	which := fmt.Sprintf("commit %.7s", b.commit)
	if _, subject, ok := strings.Cut(x.d.cause(b.commit), " "); ok {
		which += fmt.Sprintf(" (%s)", subject)
	}
	return fmt.Sprintf("%s; it missed its deadline of %d seconds, and ReplicaSet %s, the last that was complete, runs again. This is not "+
		"tried again: push a commit that changes the template or what it reads, or that reverts it (%s)",
		because("the rollout of "+which+" failed", why), deref(x.dep.Spec.ProgressDeadlineSeconds), b.last, manifest.RollbackOnFailure)
}

// rollBack decides that a Deployment whose rollout is late returns to the last template whose rollout was complete, if
// its author wants that and there is one. The decision is followed in the same Plan.
func (x *deployment) rollBack(s *appsv1.DeploymentStatus) {
	c := condition(s, appsv1.DeploymentProgressing)
	if x.last != nil || x.next == nil || c == nil || c.Reason != "ProgressDeadlineExceeded" || x.dep.Spec.Paused ||
		x.dep.Annotations[manifest.RollbackOnFailure] != "true" {
		return
	}
	last := x.lastComplete()
	if last == nil {
		return
	}
	began := x.d.w.Adopted().Commit
	if was, ok := RolloutOf(x.next.r); ok {
		began = was.Commit
	}
	b := rolledBack{x.next.r.Ref.Name, last.r.Ref.Name, began}
	text := x.rolledBackText(b, sick(x.d.w, x.next.r))
	x.set(s, rolledBackCondition, corev1.ConditionTrue, "ProgressDeadlineExceeded", text)
	x.d.event(x.r, corev1.EventTypeWarning, "DeploymentRollback", deploymentController, "Rolled back deployment %q to revision %d: %s", x.r.Ref.Name, revisionOf(last.rs), text)
	x.d.annotate(x.r, RolledBackAnnotation, b.String(), "rolled back")
}

// lastComplete is the latest other ReplicaSet whose rollout was complete, or nil.
func (x *deployment) lastComplete() (last *revision) {
	for _, v := range x.old {
		if done, ok := RolloutOf(v.r); ok && done.Outcome == Complete && (last == nil || revisionOf(v.rs) > revisionOf(last.rs)) {
			last = v
		}
	}
	return last
}

// kept says that a ReplicaSet is needed although it is old and empty: by it a template is known that failed.
func (x *deployment) kept(v *revision) bool {
	b, ok := rolledBackOf(x.r)
	return ok && x.last != nil && v.r.Ref.Name == b.failed
}
