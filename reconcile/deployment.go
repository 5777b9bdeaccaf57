package reconcile

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// Annotations of upstream's deployment controller.
const (
	revisionAnnotation        = "deployment.kubernetes.io/revision"
	revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	desiredAnnotation         = "deployment.kubernetes.io/desired-replicas"
	maxAnnotation             = "deployment.kubernetes.io/max-replicas"
	changeCauseAnnotation     = "kubernetes.io/change-cause"
	lastAppliedAnnotation     = "kubectl.kubernetes.io/last-applied-configuration"
)

const deploymentController = "deployment-controller"

// revision is one ReplicaSet of a Deployment with what a rollout looks at. It is read again from the
// draft at every step.
type revision struct {
	r  *state.Record
	rs *appsv1.ReplicaSet
	// Pods that exist, are ready and have been ready for minReadySeconds.
	actual, ready, available int32
	running                  bool // any Pod, even a terminating one, may still run
}

func (v *revision) replicas() int32 { return deref(v.rs.Spec.Replicas) }

// surviving is how many available Pods are left once the ReplicaSet has its size: those that are not
// available go first.
func (v *revision) surviving() int32 { return min(v.available, v.replicas()) }

// deployment is one Deployment in the making of a Plan.
type deployment struct {
	d    *draft
	r    *state.Record
	dep  *appsv1.Deployment
	next *revision     // of the current template; nil while there is none
	old  []*revision   // all others, oldest first
	last *state.Record // the ReplicaSet that it went back to when a rollout failed; nil if it goes on
}

// want is how many replicas there are to be.
func (x *deployment) want() int32 { return x.r.Replicas(x.dep.Spec.Replicas) }

func (d *draft) deployment(r *state.Record) *deployment {
	dep, ok := r.Object.(*appsv1.Deployment)
	if !ok {
		return nil
	}
	x := &deployment{d: d, r: r, dep: dep}
	x.template()
	x.read()
	return x
}

// read takes the ReplicaSets from the draft.
func (x *deployment) read() {
	var sets []*state.Record
	for r := range x.d.w.Owned(x.r.UID) {
		if _, ok := r.Object.(*appsv1.ReplicaSet); ok && r.Deletion == nil {
			sets = append(sets, r)
		}
	}
	slices.SortFunc(sets, func(a, b *state.Record) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.Ref.Name, b.Ref.Name)
	})
	current := findNew(x.dep, sets)
	x.next, x.old = nil, nil
	for _, r := range sets {
		v := x.d.revision(r)
		if r == current {
			x.next = v
		} else {
			x.old = append(x.old, v)
		}
	}
}

func (d *draft) revision(r *state.Record) *revision {
	rs, _ := replicaSetOf(r.Object)
	v := &revision{r: r, rs: rs}
	for p := range d.w.Owned(r.UID) {
		if p.Ref.Kind != "Pod" {
			continue
		}
		v.running = v.running || !terminal(p)
		if !active(p) {
			continue
		}
		v.actual++
		if podReady(p) {
			v.ready++
			if d.available(p, v.rs.Spec.MinReadySeconds) {
				v.available++
			}
		}
	}
	return v
}

// available says that a ready Pod has been so for long enough; if not, the key is looked at again then.
func (d *draft) available(p *state.Record, minReady int32) bool {
	c := state.PodCondition(p.PodStatus(), corev1.PodReady)
	if c == nil || c.Status != corev1.ConditionTrue {
		return false
	}
	if minReady == 0 {
		return true
	}
	at := c.LastTransitionTime.Add(time.Duration(minReady) * time.Second)
	if at.After(d.now) {
		d.later(at)
		return false
	}
	return true
}

// all is every ReplicaSet, the new one last.
func (x *deployment) all() []*revision {
	if x.next == nil {
		return x.old
	}
	return append(slices.Clip(x.old), x.next)
}

func size(sets []*revision) (n int32) {
	for _, v := range sets {
		n += v.replicas()
	}
	return n
}

func survivors(sets []*revision) (n int32) {
	for _, v := range sets {
		n += v.surviving()
	}
	return n
}

func revisionOf(o metav1.Object) int64 {
	n, err := strconv.ParseInt(o.GetAnnotations()[revisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (x *deployment) maxOldRevision() (n int64) {
	for _, v := range x.old {
		n = max(n, revisionOf(v.rs))
	}
	return n
}

// create makes the ReplicaSet of the current template.
func (x *deployment) create() {
	status, _ := x.r.Status.(*appsv1.DeploymentStatus)
	var collisions *int32
	if status != nil {
		collisions = status.CollisionCount
	}
	for {
		hash := templateHash(&x.dep.Spec.Template, collisions)
		ref := manifest.ReplicaSetRef(x.r.Ref.Namespace, setName(x.r.Ref.Name, hash))
		if x.d.w.Get(ref) == nil {
			x.keepCollisions(status, collisions)
			x.make(ref, hash)
			return
		}
		n := deref(collisions) + 1
		collisions = &n
	}
}

func (x *deployment) keepCollisions(status *appsv1.DeploymentStatus, collisions *int32) {
	if collisions == nil || status != nil && deref(status.CollisionCount) == *collisions {
		return
	}
	next := &appsv1.DeploymentStatus{}
	if status != nil {
		next = status.DeepCopy()
	}
	next.CollisionCount = collisions
	x.d.setStatus(x.r, next, "another template has the same hash")
}

func (x *deployment) make(ref manifest.Ref, hash string) {
	template := x.dep.Spec.Template // shared: both are immutable
	template.Labels = withLabel(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey, hash)
	selector := x.dep.Spec.Selector.DeepCopy()
	selector.MatchLabels = withLabel(selector.MatchLabels, appsv1.DefaultDeploymentUniqueLabelKey, hash)
	var zero int32
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ref.Namespace, Name: ref.Name, Labels: template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(&metav1.ObjectMeta{Name: x.r.Ref.Name, UID: x.r.UID}, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
			Annotations:     x.annotations(nil, x.maxOldRevision()+1),
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: &zero, MinReadySeconds: x.dep.Spec.MinReadySeconds, Selector: selector, Template: template},
	}
	surge, _ := x.limits()
	rs.Annotations[desiredAnnotation] = strconv.Itoa(int(x.want()))
	rs.Annotations[maxAnnotation] = strconv.Itoa(int(x.want() + surge))
	x.d.pin(x.d.w, x.r, &template)
	x.d.put(state.Put{Ref: ref, Object: rs, Origin: state.Derived, Why: x.why()})
}

// annotations are those of the Deployment that upstream copies, the revision, and why it was made.
func (x *deployment) annotations(before map[string]string, number int64) map[string]string {
	a := maps.Clone(before)
	if a == nil {
		a = map[string]string{}
	}
	for k, v := range x.dep.Annotations {
		if !skipped(k) {
			a[k] = v
		}
	}
	was := before[revisionAnnotation]
	if now := strconv.FormatInt(number, 10); now != was {
		a[revisionAnnotation] = now
		if was != "" {
			a[revisionHistoryAnnotation] = history(before[revisionHistoryAnnotation], was)
		}
		if x.dep.Annotations[changeCauseAnnotation] == "" {
			if cause := x.d.cause(x.commit()); cause != "" {
				a[changeCauseAnnotation] = cause
			}
		}
	}
	return a
}

func skipped(key string) bool {
	switch key {
	case lastAppliedAnnotation, revisionAnnotation, revisionHistoryAnnotation, desiredAnnotation, maxAnnotation,
		appsv1.DeprecatedRollbackTo, manifest.QuarantineAnnotation, manifest.ReplacePodsAnnotation, manifest.OnDeleteAnnotation:
		return true
	}
	return false
}

// history appends a revision, keeping at most about 2000 characters as upstream.
func history(before, number string) string {
	if before == "" {
		return number
	}
	numbers := append(strings.Split(before, ","), number)
	for len(strings.Join(numbers, ",")) > 2000 {
		numbers = numbers[1:]
	}
	return strings.Join(numbers, ",")
}

// cause is the short hash and subject of a commit that was adopted.
func (d *draft) cause(commit string) string {
	for _, a := range slices.Backward(d.w.History()) {
		if a.Commit == commit && commit != "" {
			return strings.TrimSpace(commit[:min(7, len(commit))] + " " + a.Subject)
		}
	}
	return ""
}

func setName(deployment, hash string) string {
	const longest = 253
	if room := longest - 1 - len(hash); len(deployment) > room {
		deployment = deployment[:room]
	}
	return deployment + "-" + hash
}

func withLabel(labels map[string]string, key, value string) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	return labels
}
