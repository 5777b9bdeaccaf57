package reconcile

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
	"writ/state"
)

// Who controls what follows from labels, as upstream: an owner takes on what its selector matches and nobody controls,
// and lets go what it does not match any more. Of what is derived the object says who controls it; what is written in
// the repository stays as it was written, and the World knows beside it.

// claimPods takes on the Pods that an owner's selector matches and lets go those that it does not match any more. It
// says whether it did anything.
func (d *draft) claimPods(r *state.Record) (moved bool) {
	selector := manifest.Selector(r.Object)
	for p := range d.w.Owned(r.UID) {
		if p.Ref.Kind == "Pod" && p.Deletion == nil && !selector.Matches(labels.Set(p.Object.GetLabels())) {
			d.disown(p, r, "let go by "+r.Ref.String()+": its labels no longer match")
			moved = true
		}
	}
	for p := range d.w.Select("", "Pod", r.Ref.Namespace, selector) {
		if claimable(r, p) {
			d.own(r, p)
			moved = true
		}
	}
	return moved
}

// claimable says that an owner may take on a Pod which its selector matches. That of a StatefulSet is named as one of
// its Pods; a Job counts also one that has ended, and none that somebody wrote.
func claimable(r, p *state.Record) bool {
	if p.Deletion != nil || state.ControllerOf(p) != nil || inQuarantine(p) {
		return false
	}
	switch r.Ref.Kind {
	case "Job":
		return p.Origin == state.Derived
	case "StatefulSet":
		_, ok := ordinalOf(r.Ref.Name, p.Ref)
		return ok && active(p)
	}
	return active(p)
}

// own makes an owner the controller of a Pod.
func (d *draft) own(r, p *state.Record) {
	why := "adopted by " + r.Ref.String()
	if standsAuthored(p) {
		ref := controllerRef(r)
		d.put(state.Put{Ref: p.Ref, Why: why, Controller: &state.Controller{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name, UID: ref.UID}})
		return
	}
	pod := *p.Pod()
	pod.OwnerReferences = append(slices.Clip(pod.OwnerReferences), controllerRef(r))
	switch r.Ref.Kind {
	case "StatefulSet":
		n, _ := ordinalOf(r.Ref.Name, p.Ref)
		pod.Labels = identity(pod.Labels, pod.Name, n)
	case "Job":
		if !tracked(p) {
			pod.Finalizers = append(slices.Clip(pod.Finalizers), batchv1.JobTrackingFinalizer)
		}
	}
	d.put(state.Put{Ref: p.Ref, Object: &pod, Origin: p.Origin, Why: why})
}

// staying tells which Pods of the repository are there that their owner would end: they go only when their files do.
func (d *draft) staying(r *state.Record, field string, pods []*state.Record) {
	var names []string
	for _, p := range pods {
		names = append(names, p.Ref.Name)
	}
	if len(names) > 0 {
		d.note(r.Ref, field, "written in the repository and more than are wanted, they stay: "+strings.Join(names, ", "))
	}
}

// disown takes an owner's name off what it controls.
func (d *draft) disown(o, owner *state.Record, why string) {
	if o.Controller != nil {
		d.put(state.Put{Ref: o.Ref, Controller: &state.Controller{}, Why: why})
		return
	}
	free := o.Object.DeepCopyObject().(manifest.Object)
	free.SetFinalizers(untracked(free.GetFinalizers()))
	free.SetOwnerReferences(slices.DeleteFunc(free.GetOwnerReferences(), func(ref metav1.OwnerReference) bool { return ref.UID == owner.UID }))
	d.put(state.Put{Ref: o.Ref, Object: free, Origin: o.Origin, Why: why})
}

// claimSets takes on ReplicaSets that a Deployment's selector matches and nobody controls: those that another one
// left behind.
func (x *deployment) claimSets() {
	for r := range x.d.w.Select("apps", "ReplicaSet", x.r.Ref.Namespace, manifest.Selector(x.dep)) {
		if r.Origin != state.Derived || r.Deletion != nil || state.ControllerOf(r) != nil {
			continue
		}
		set := r.Object.DeepCopyObject().(manifest.Object)
		set.SetOwnerReferences(append(set.GetOwnerReferences(), controllerRef(x.r)))
		x.d.put(state.Put{Ref: r.Ref, Object: set, Origin: r.Origin, Why: "adopted by " + x.r.Ref.String()})
	}
}

// adopts says that objects of a kind take on Pods by their labels.
func adopts(ref manifest.Ref) bool {
	switch ref.Kind {
	case "ReplicaSet", "StatefulSet", "DaemonSet":
		return ref.Group == "apps"
	case "ReplicationController":
		return ref.Group == ""
	}
	return false
}

// adoptionWakes yields who may take on what nobody controls, and who let a Pod go.
func adoptionWakes(w *state.World, c *state.Change, yield func(Key)) {
	for _, r := range []*state.Record{c.Old, c.New} {
		if r == nil || r.Ref.Kind != "Pod" {
			continue
		}
		if ref, ok := jailerRef(r); ok && (c.Old == nil || c.New == nil || c.Old.Object != c.New.Object) {
			keysFor(ref, yield)
		}
	}
	if !strays(c) {
		return
	}
	set := labels.Set(c.New.Object.GetLabels())
	for gk := range workloadConcerns {
		kind := manifest.Ref{Group: gk.Group, Kind: gk.Kind}
		if c.Ref.Kind == "Pod" && !adopts(kind) || c.Ref.Kind == "ReplicaSet" && kind.Kind != "Deployment" {
			continue
		}
		for owner := range w.List(gk.Group, gk.Kind, c.Ref.Namespace) {
			if manifest.Selector(owner.Object).Matches(set) {
				keysFor(owner.Ref, yield)
			}
		}
	}
}

// strays says that a change made a Pod or ReplicaSet one that somebody may take on.
func strays(c *state.Change) bool {
	r := c.New
	if r == nil || len(r.Object.GetLabels()) == 0 || r.Deletion != nil || state.ControllerOf(r) != nil {
		return false
	}
	switch r.Ref.GroupKind().String() {
	case "Pod":
		return c.Old == nil || c.Old.Object != r.Object || c.Old.Controller != r.Controller || active(c.Old) != active(r)
	case "ReplicaSet.apps":
		return r.Origin == state.Derived && (c.Old == nil || c.Old.Object != r.Object)
	}
	return false
}

// letGoWakes yields the Pods in quarantine of an owner that changed or went.
func letGoWakes(w *state.World, c *state.Change, yield func(Key)) {
	if c.Old == nil || c.New != nil && c.New.Object == c.Old.Object && c.New.UID == c.Old.UID && (c.New.Deletion == nil) == (c.Old.Deletion == nil) {
		return
	}
	for p := range quarantinedBy(w, c.Old) {
		yield(Key{pods, p.Ref})
	}
}
