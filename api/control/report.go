package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// Facts is what the daemon knows beside the World.
type Facts struct {
	Node, Version string
	Source        Source
	Newest        *Commit // newest commit seen; nil before the first
	Held          string  // why it is not adopted
	HeldSince     time.Time
	Mistakes      []string
	Warnings      []string
	Notes         map[manifest.Ref][]string // what keeps single objects from being acted on
	Standing      Standing
	Troubles      []Trouble
	Places        func(manifest.Ref) (manifest.Source, bool) // where objects are written; may be nil
}

// Report puts the World and the Facts together. It is pure.
func Report(w *state.World, f Facts, now time.Time) Status {
	s := Status{
		Schema: SchemaVersion, At: now, Node: f.Node, Version: f.Version, Revision: w.Revision().String(),
		Source: f.Source, Held: f.Held, Mistakes: f.Mistakes, Warnings: f.Warnings, Standing: f.Standing, Troubles: f.Troubles,
		Objects: []Object{}, Counts: Counts{},
	}
	if !f.HeldSince.IsZero() && f.Held != "" {
		s.HeldSince = &f.HeldSince
	}
	if a := w.Adopted(); a.Commit != "" {
		s.Adopted = &Commit{Hash: a.Commit, Subject: a.Subject, Author: a.Author, Committed: a.Committed, Adopted: a.Adopted, Digest: a.Digest}
	}
	if f.Newest != nil && (s.Adopted == nil || f.Newest.Hash != s.Adopted.Hash) {
		s.Newest = f.Newest
	}
	for r := range w.Records() {
		if r.Ref.Kind == "Pod" {
			s.Archived += archived(r)
		}
		if r.Origin != state.Authored && !(r.Origin == state.Derived && r.Ref.Kind == "Node") {
			continue
		}
		s.Objects = append(s.Objects, describe(w, r, f))
	}
	slices.SortStableFunc(s.Objects, func(a, b Object) int { return strings.Compare(a.Namespace, b.Namespace) })
	for i := range s.Objects {
		s.Counts[s.Objects[i].Health]++
	}
	s.Healthy = s.Settled() && s.Newest == nil && s.Held == ""
	return s
}

// archived counts a Pod's containers whose image came from an archive.
func archived(pod *state.Record) (n int) {
	status := pod.PodStatus()
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range list {
			if state.FromArchive(&list[i]) {
				n++
			}
		}
	}
	return n
}

func describe(w *state.World, r *state.Record, f Facts) Object {
	o := Object{
		Kind: r.Ref.Kind, Group: r.Ref.Group, Namespace: r.Ref.Namespace, Name: r.Ref.Name,
		Commit: r.Commit, Ready: replicas(r),
	}
	if f.Places != nil {
		if at, ok := f.Places(r.Ref); ok {
			o.Path, o.Line = at.Path, at.Line
		}
	}
	h, reason := reconcile.Health(w, r.Ref)
	o.Health, o.Reason = Health(h.String()), reason
	if !h.OK() {
		if x, ok := reconcile.RollingOf(w, r.Ref); ok {
			o.Rolling = &x
		}
	}
	if notes := f.Notes[r.Ref]; len(notes) > 0 {
		if !o.Health.Bad() {
			o.Health = Degraded
		}
		o.Reason = strings.Join(notes, "; ")
	}
	return o
}

// replicas is "ready/wanted" of what has replicas.
func replicas(r *state.Record) string {
	ready, wanted := int32(0), int32(1)
	switch o := r.Object.(type) {
	case *appsv1.Deployment:
		if o.Spec.Replicas != nil {
			wanted = *o.Spec.Replicas
		}
		if s, ok := r.Status.(*appsv1.DeploymentStatus); ok {
			ready = s.ReadyReplicas
		}
	case *appsv1.ReplicaSet:
		if o.Spec.Replicas != nil {
			wanted = *o.Spec.Replicas
		}
		if s, ok := r.Status.(*appsv1.ReplicaSetStatus); ok {
			ready = s.ReadyReplicas
		}
	case *appsv1.StatefulSet:
		if o.Spec.Replicas != nil {
			wanted = *o.Spec.Replicas
		}
		if s, ok := r.Status.(*appsv1.StatefulSetStatus); ok {
			ready = s.ReadyReplicas
		}
	case *appsv1.DaemonSet:
		if s, ok := r.Status.(*appsv1.DaemonSetStatus); ok {
			ready, wanted = s.NumberReady, s.DesiredNumberScheduled
		}
	case *corev1.ReplicationController:
		if o.Spec.Replicas != nil {
			wanted = *o.Spec.Replicas
		}
		if s, ok := r.Status.(*corev1.ReplicationControllerStatus); ok {
			ready = s.ReadyReplicas
		}
	case *batchv1.Job:
		return completions(r, o)
	default:
		return ""
	}
	if a := r.Allocation; a != nil && a.Replicas != nil { // an autoscaler decides
		wanted = *a.Replicas
	}
	return fmt.Sprintf("%d/%d ready", ready, wanted)
}
