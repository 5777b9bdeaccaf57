package reconcile

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"writ/manifest"
	"writ/state"
)

// Rolling is how far an object is on its way to what its author wrote, for people who follow it.
type Rolling struct {
	Rollout
	Wanted    int32     `json:"wanted"`
	New       int32     `json:"new"` // of the newest revision
	Old       int32     `json:"old"` // of others
	Ready     int32     `json:"ready"`
	Available int32     `json:"available"`
	Health    State     `json:"-"`
	Waits     string    `json:"waits,omitempty"` // for what; empty once nothing is waited for
	Since     time.Time `json:"since,omitzero"`  // when it got further last
}

// RollingOf is that of a Deployment, StatefulSet or DaemonSet; false for other kinds and for what is not there.
func RollingOf(w *state.World, ref manifest.Ref) (Rolling, bool) {
	r := w.Get(ref)
	if r == nil {
		return Rolling{}, false
	}
	var x Rolling
	switch o := r.Object.(type) {
	case *appsv1.Deployment:
		x.Wanted = r.Replicas(o.Spec.Replicas)
		if s, ok := r.Status.(*appsv1.DeploymentStatus); ok {
			x.New, x.Old, x.Ready, x.Available = s.UpdatedReplicas, s.Replicas-s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas
			if c := condition(s, appsv1.DeploymentProgressing); c != nil {
				x.Since = c.LastUpdateTime.Time
			}
		}
	case *appsv1.StatefulSet:
		x.Wanted = r.Replicas(o.Spec.Replicas)
		if s, ok := r.Status.(*appsv1.StatefulSetStatus); ok {
			x.New, x.Old, x.Ready, x.Available = s.UpdatedReplicas, s.Replicas-s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas
		}
	case *appsv1.DaemonSet:
		if s, ok := r.Status.(*appsv1.DaemonSetStatus); ok {
			x.Wanted = s.DesiredNumberScheduled
			x.New, x.Old, x.Ready, x.Available = s.UpdatedNumberScheduled, s.CurrentNumberScheduled-s.UpdatedNumberScheduled, s.NumberReady, s.NumberAvailable
		}
	default:
		return Rolling{}, false
	}
	x.Old = max(0, x.Old)
	if next := Newest(w, r); next != nil {
		x.Rollout, _ = RolloutOf(next)
	}
	if x.Since.IsZero() {
		x.Since = lastStep(w, r)
	}
	if x.Health, x.Waits = Health(w, ref); x.Health.OK() {
		x.Waits = ""
	}
	return x, true
}

// RevisionKind is of what the revisions of an owner are kept, empty for kinds that have none.
func RevisionKind(owner schema.GroupKind) schema.GroupKind {
	switch owner {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		return schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}
	case schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, schema.GroupKind{Group: "apps", Kind: "DaemonSet"}:
		return schema.GroupKind{Group: "apps", Kind: "ControllerRevision"}
	}
	return schema.GroupKind{}
}

// RevisionNumber is the number of what keeps a revision, 0 if it has none.
func RevisionNumber(r *state.Record) int64 {
	if c, ok := r.Object.(*appsv1.ControllerRevision); ok {
		return c.Revision
	}
	return revisionOf(r.Object)
}

// Newest is what keeps the newest revision of an owner, nil if there is none.
func Newest(w *state.World, owner *state.Record) (newest *state.Record) {
	kind := RevisionKind(owner.Ref.GroupKind())
	for r := range w.Owned(owner.UID) {
		if r.Ref.GroupKind() == kind && (newest == nil || RevisionNumber(r) > RevisionNumber(newest)) {
			newest = r
		}
	}
	return newest
}

// lastStep is when a Pod of an owner was made or became ready last.
func lastStep(w *state.World, owner *state.Record) (last time.Time) {
	for r := range w.Owned(owner.UID) {
		if r.Ref.Kind != "Pod" {
			continue
		}
		for _, at := range []time.Time{r.Created, readyTime(r)} {
			if at.After(last) {
				last = at
			}
		}
	}
	return last
}
