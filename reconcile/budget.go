package reconcile

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"writ/manifest"
	"writ/state"
)

const disruptionController = "controllermanager" // upstream's name for it in events

// leeway is what a PodDisruptionBudget comes to by the Pods as they are in the draft.
type leeway struct {
	pods                       int
	healthy, desired, expected int32
	unmanaged                  bool  // some Pod has no controller, and the budget is a part of all
	err                        error // it cannot be worked out, and allows nothing
}

// allowed is how many Pods may go now.
func (a *leeway) allowed() int32 {
	if a.err != nil || a.expected <= 0 {
		return 0
	}
	return max(0, a.healthy-a.desired)
}

// never says that a budget allows nothing even when all its Pods are healthy.
func (a *leeway) never() bool { return a.err != nil || a.desired >= a.expected }

// leeway counts the Pods that a budget is about, as upstream: a number that has to be available is of the Pods
// that there are, all else of the sizes of what controls them.
func (d *draft) leeway(r *state.Record) (a leeway) {
	b, ok := r.Object.(*policyv1.PodDisruptionBudget)
	if !ok {
		a.err = fmt.Errorf("%s is no budget", r.Ref)
		return a
	}
	var pods []*state.Record
	for p := range d.w.Select("", "Pod", r.Ref.Namespace, manifest.Selector(b)) {
		pods = append(pods, p)
		if p.Deletion == nil && podReady(p) {
			a.healthy++
		}
	}
	a.pods = len(pods)
	least := b.Spec.MinAvailable
	switch {
	case b.Spec.MaxUnavailable != nil:
		a.scale(d, pods)
		a.desired = max(0, a.expected-a.part(b.Spec.MaxUnavailable))
	case least != nil && least.Type == intstr.Int:
		a.expected, a.desired = int32(len(pods)), least.IntVal
	case least != nil:
		a.scale(d, pods)
		a.desired = a.part(least)
	}
	return a
}

// part is a number of Pods, or a percentage of those that are expected, rounded up.
func (a *leeway) part(of *intstr.IntOrString) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(of, int(a.expected), true)
	if err != nil && a.err == nil {
		a.err = err
	}
	return int32(n)
}

// scale adds up the sizes of what controls the Pods.
func (a *leeway) scale(d *draft, pods []*state.Record) {
	seen := map[types.UID]bool{}
	for _, p := range pods {
		c := state.ControllerOf(p)
		if c == nil {
			a.unmanaged = true
			continue
		}
		if seen[c.UID] {
			continue
		}
		seen[c.UID] = true
		n, uid, err := d.scaleOf(p, c)
		if err != nil {
			if a.err == nil {
				a.err = err
			}
			continue
		}
		if uid != c.UID && seen[uid] {
			continue
		}
		seen[uid] = true
		a.expected += n
	}
}

// scaleOf is the size of what controls a Pod, of a Deployment's ReplicaSet that of the Deployment, and its UID.
func (d *draft) scaleOf(p *state.Record, c *metav1.OwnerReference) (int32, types.UID, error) {
	owner := d.w.Get(manifest.Ref{Group: groupOf(c.APIVersion), Kind: c.Kind, Namespace: p.Ref.Namespace, Name: c.Name})
	if owner == nil || owner.UID != c.UID {
		return 0, "", fmt.Errorf("found no controllers for pod %q", p.Ref.Name)
	}
	switch o := owner.Object.(type) {
	case *appsv1.ReplicaSet:
		above := controller(d.w, owner)
		if above == nil {
			return owner.Replicas(o.Spec.Replicas), owner.UID, nil
		}
		if dep, ok := above.Object.(*appsv1.Deployment); ok {
			return above.Replicas(dep.Spec.Replicas), above.UID, nil
		}
	case *appsv1.StatefulSet:
		return owner.Replicas(o.Spec.Replicas), owner.UID, nil
	case *corev1.ReplicationController:
		return owner.Replicas(o.Spec.Replicas), owner.UID, nil
	}
	return 0, "", fmt.Errorf("%s does not implement the scale subresource", schema.GroupResource{Group: owner.Ref.Group, Resource: manifest.Resource(owner.Ref.GroupKind())}.String())
}

// budget keeps the status of a PodDisruptionBudget.
func (d *draft) budget(r *state.Record) {
	if r.Deletion != nil || d.held(r) {
		return
	}
	before, _ := r.Status.(*policyv1.PodDisruptionBudgetStatus)
	if before == nil {
		before = &policyv1.PodDisruptionBudgetStatus{}
	}
	a := d.leeway(r)
	next := before.DeepCopy()
	c := metav1.Condition{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason}
	next.DisruptionsAllowed = a.allowed()
	if a.err != nil {
		c.Reason, c.Message = policyv1.SyncFailedReason, a.err.Error()
	} else {
		next.CurrentHealthy, next.DesiredHealthy, next.ExpectedPods = a.healthy, a.desired, a.expected
		next.ObservedGeneration = d.generation(r)
	}
	if next.DisruptionsAllowed > 0 {
		c.Status, c.Reason = metav1.ConditionTrue, policyv1.SufficientPodsReason
	}
	c.ObservedGeneration, c.LastTransitionTime = next.ObservedGeneration, d.stamp()
	apimeta.SetStatusCondition(&next.Conditions, c)
	if r.Status != nil && equality.Semantic.DeepEqual(before, next) {
		return
	}
	d.tellBudget(r, &a)
	d.setStatus(r, next, "")
}

// tellBudget tells what of a budget its author may not have meant.
func (d *draft) tellBudget(r *state.Record, a *leeway) {
	switch {
	case a.err != nil:
		d.event(r, corev1.EventTypeWarning, "CalculateExpectedPodCountFailed", disruptionController, "Failed to calculate the number of expected pods: %v", a.err)
	case a.pods == 0:
		d.event(r, corev1.EventTypeNormal, "NoPods", disruptionController, "No matching pods found")
	case a.unmanaged:
		d.event(r, corev1.EventTypeWarning, "UnmanagedPods", disruptionController, "Pods selected by this PodDisruptionBudget (selector: %v) were found "+
			"to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "+
			"To account for these pods please set \".spec.minAvailable\" "+
			"field of the PDB to an integer value.", r.Object.(*policyv1.PodDisruptionBudget).Spec.Selector)
	}
}

func budgetHealth(r *state.Record) (State, string) {
	s, _ := r.Status.(*policyv1.PodDisruptionBudgetStatus)
	if s == nil {
		return Progressing, "not looked at yet"
	}
	c := apimeta.FindStatusCondition(s.Conditions, policyv1.DisruptionAllowedCondition)
	switch {
	case c != nil && c.Reason == policyv1.SyncFailedReason:
		return Degraded, c.Message
	case s.ObservedGeneration < r.Generation:
		return Progressing, "not looked at yet"
	case s.ExpectedPods == 0:
		return Healthy, "it is about no pod"
	case s.DisruptionsAllowed == 0:
		return Healthy, fmt.Sprintf("allows no pod to be evicted: %d healthy, %d have to be", s.CurrentHealthy, s.DesiredHealthy)
	}
	return Healthy, ""
}
