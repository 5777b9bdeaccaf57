package reconcile

import (
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

const replicaSetController = "replicaset-controller"

// replicas makes or ends Pods until a ReplicaSet has as many as it says. One whose controller is gone
// goes itself.
func (d *draft) replicas(r *state.Record) {
	rs, ok := replicaSetOf(r.Object)
	if !ok {
		return
	}
	if r.Origin == state.Derived && metav1.GetControllerOfNoCopy(rs) != nil && controller(d.w, r) == nil {
		d.delete(r, "its owner is gone")
		return
	}
	if r.Deletion != nil || d.held(r) {
		return
	}
	d.claimPods(r)
	if state.ControllerOf(r) == nil {
		d.podLists(r, int(r.Replicas(rs.Spec.Replicas))-1, rs.Spec.MinReadySeconds)
	}
	var living []*state.Record
	for p := range d.w.Owned(r.UID) {
		if p.Ref.Kind == "Pod" && active(p) {
			living = append(living, p)
		}
	}
	switch missing := int(r.Replicas(rs.Spec.Replicas)) + d.surging(r) - len(living); {
	case missing > 0 && len(d.replicasWait(r)) > 0:
	case missing > 0:
		d.createPods(r, rs, missing)
	case missing < 0:
		d.endPods(r, living, -missing)
	}
}

// replicasWait is what a ReplicaSet without any Pod has to wait for.
func (d *draft) replicasWait(r *state.Record) []manifest.Ref {
	for p := range d.w.Owned(r.UID) {
		if p.Ref.Kind == "Pod" {
			return nil
		}
	}
	return d.waitsFor(r)
}

func controllerRef(r *state.Record) metav1.OwnerReference {
	return *metav1.NewControllerRef(&metav1.ObjectMeta{Name: r.Ref.Name, UID: r.UID}, manifest.GVK(r.Ref))
}

// createPods makes n Pods of the template. They share its memory: neither is ever modified.
func (d *draft) createPods(r *state.Record, rs *appsv1.ReplicaSet, n int) {
	pod, err := d.podOf(r, &rs.Spec.Template)
	if err != nil {
		if !failedBefore(r, err) {
			d.event(r, corev1.EventTypeWarning, "FailedCreate", replicaController(r), "Error creating: %s", err)
		}
		return
	}
	puts := make([]state.Put, 0, n)
	taken := map[string]bool{}
	for i := 0; len(puts) < n; i++ {
		name := generatedName(pod.GenerateName, admit.Suffix(string(r.UID), d.base.Revision().String(), strconv.Itoa(i)))
		ref := manifest.PodRef(r.Ref.Namespace, name)
		if taken[name] || d.w.Get(ref) != nil || d.base.Get(ref) != nil {
			continue
		}
		taken[name] = true
		one := *pod
		one.Name = name
		puts = append(puts, state.Put{Ref: ref, Object: &one, Origin: state.Derived, Status: pending(&one), Why: "replica of " + r.Ref.Name})
		d.event(r, corev1.EventTypeNormal, "SuccessfulCreate", replicaController(r), "Created pod: %s", name)
	}
	d.put(puts...)
}

// podOf is the Pod of a template as it is after admission, with no name yet.
func (d *draft) podOf(r *state.Record, template *corev1.PodTemplateSpec) (*corev1.Pod, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Ref.Namespace, GenerateName: r.Ref.Name + "-", Labels: template.Labels, Annotations: template.Annotations,
			OwnerReferences: []metav1.OwnerReference{controllerRef(r)},
		},
		Spec: template.Spec,
	}
	return admit.Pod(d.w, pod)
}

// endPods decides that n of the Pods go, those first that upstream would miss least.
func (d *draft) endPods(r *state.Record, living []*state.Record, n int) {
	rank := d.ranking(r, living)
	slices.SortStableFunc(living, rank.compare)
	declared := slices.IndexFunc(living, standsAuthored)
	if declared >= 0 && declared < n { // what is written in the repository goes only when its file does
		d.staying(r, "spec.replicas", living[declared:n])
		n = declared
	}
	for _, p := range living[:n] {
		d.end(p, "scaled down")
		d.event(r, corev1.EventTypeNormal, "SuccessfulDelete", replicaController(r), "Deleted pod: %s", p.Ref.Name)
	}
}

// active says that a Pod counts as a replica.
func active(p *state.Record) bool { return p.Deletion == nil && !terminal(p) }
