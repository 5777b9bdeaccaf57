package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// completionIndex is the variable in which the containers of an Indexed Job find their index.
const completionIndex = "JOB_COMPLETION_INDEX"

// endAll ends what still runs, as the Job has ended. Whether such Pods count is for track to say.
func (x *job) endAll() {
	for _, p := range x.running() {
		x.end(p, "the Job has ended")
	}
}

func (x *job) running() (out []*jobPod) {
	for _, p := range x.pods {
		if p.active() {
			out = append(out, p)
		}
	}
	return out
}

func (x *job) end(p *jobPod, why string) {
	x.d.end(p.r, why)
	x.d.event(x.r, corev1.EventTypeNormal, "SuccessfulDelete", jobController, "Deleted pod: %s", p.r.Ref.Name)
}

// withdraw ends Pods whose end does not count.
func (x *job) withdraw(pods []*jobPod, why string) {
	for _, p := range pods {
		x.end(p, why)
		x.release(p)
	}
}

// release says that a Pod is counted, or will not be.
func (x *job) release(p *jobPod) {
	r := x.d.w.Get(p.r.Ref)
	if r == nil || r.UID != p.r.UID || !tracked(r) {
		return
	}
	pod := *r.Pod()
	pod.Finalizers = untracked(pod.Finalizers)
	x.d.put(state.Put{Ref: r.Ref, Object: &pod, Origin: r.Origin, Why: "accounted for"})
}

// untracked is the finalizers of a Pod that no Job counts any more.
func untracked(finalizers []string) []string {
	return slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == batchv1.JobTrackingFinalizer })
}

// manage makes or ends Pods until as many run as should. It never does both at once.
func (x *job) manage() {
	running := x.running()
	if x.suspended() {
		slices.SortStableFunc(running, x.leastMissed)
		x.withdraw(running, "the Job is suspended")
		return
	}
	want := x.wanted(len(running))
	if surplus := x.surplus(running, max(0, len(running)-want)); len(surplus) > 0 {
		x.withdraw(surplus, "the Job needs fewer pods")
		return
	}
	n := want - len(running)
	if x.onlyFailed() {
		for _, p := range x.pods {
			if p.terminating() {
				n--
			}
		}
	}
	if n > 0 {
		x.make(n)
	}
}

// wanted is how many Pods are to run.
func (x *job) wanted(running int) int {
	switch {
	case x.spec.Completions != nil:
		return max(0, min(x.completions()-x.succeeded, x.parallelism()))
	case x.succeeded > 0: // of a work queue that is empty: who works goes on
		return running
	}
	return x.parallelism()
}

// surplus are the Pods to end: those without a part of the Job of their own, and then at least n in all.
func (x *job) surplus(running []*jobPod, n int) (out []*jobPod) {
	rest := slices.Clone(running)
	slices.SortStableFunc(rest, x.leastMissed)
	if x.indexed() {
		last := map[int]*jobPod{}
		for _, p := range rest {
			if x.valid(p) {
				last[p.index] = p
			}
		}
		rest = slices.DeleteFunc(rest, func(p *jobPod) bool {
			if last[p.index] != p {
				out = append(out, p)
				return true
			}
			return false
		})
	}
	if more := n - len(out); more > 0 {
		out = append(out, rest[:min(more, len(rest))]...)
	}
	return out
}

// leastMissed orders Pods as upstream's ActivePods; of those that are alike a lower index goes first, as there.
func (x *job) leastMissed(a, b *jobPod) int {
	s, t := a.r.PodStatus(), b.r.PodStatus()
	if c := cmp.Or(
		whether(a.r.Node != "", b.r.Node != ""),
		cmp.Compare(phaseRank(s.Phase), phaseRank(t.Phase)),
		whether(podReady(a.r), podReady(b.r)),
	); c != 0 {
		return c
	}
	return cmp.Or(
		readyTime(b.r).Compare(readyTime(a.r)),
		cmp.Compare(restarts(t), restarts(s)),
		b.r.Created.Compare(a.r.Created),
		cmp.Compare(a.index, b.index),
		strings.Compare(string(a.r.UID), string(b.r.UID)),
	)
}

// make makes n Pods, once the delay after failures has passed.
func (x *job) make(n int) {
	if x.indexed() {
		x.makeIndexed(n)
		return
	}
	if at := x.setback.until(x.d.now); !at.IsZero() {
		x.d.later(at)
		return
	}
	x.create(slices.Repeat([]int{noIndex}, n))
}

func (x *job) makeIndexed(n int) {
	if at := x.setback.until(x.d.now); !x.perIndex() && !at.IsZero() {
		x.d.later(at)
		return
	}
	taken := x.succeededIndexes.union(x.failedIndexes).union(indexesOf(x.running()))
	if x.onlyFailed() {
		taken = taken.union(indexesOf(slices.DeleteFunc(slices.Clone(x.pods), func(p *jobPod) bool { return !p.terminating() })))
	}
	var now []int
	var first time.Time
	for _, i := range taken.missing(n, x.completions()) {
		if p := x.replaced[i]; p != nil {
			if at := p.retry(x.d.now); !at.IsZero() {
				if first.IsZero() || at.Before(first) {
					first = at
				}
				continue
			}
		}
		now = append(now, i)
	}
	if len(now) == 0 && !first.IsZero() {
		x.d.later(first)
	}
	x.create(now)
}

// create makes a Pod for each of the indexes.
func (x *job) create(parts []int) {
	if len(parts) == 0 {
		return
	}
	pod, err := x.pod()
	if x.refused(err) {
		return
	}
	puts := make([]state.Put, 0, len(parts))
	taken := map[string]bool{}
	for i := 0; len(puts) < len(parts); i++ {
		one := x.part(pod, parts[len(puts)])
		one.Name = generatedName(one.GenerateName, admit.Suffix(string(x.r.UID), x.d.base.Revision().String(), strconv.Itoa(i)))
		ref := manifest.PodRef(x.r.Ref.Namespace, one.Name)
		if taken[one.Name] || x.d.w.Get(ref) != nil || x.d.base.Get(ref) != nil {
			continue
		}
		taken[one.Name] = true
		puts = append(puts, state.Put{Ref: ref, Object: one, Origin: state.Derived, Status: pending(one), Why: "pod of " + x.r.Ref.Name})
		x.d.event(x.r, corev1.EventTypeNormal, "SuccessfulCreate", jobController, "Created pod: %s", one.Name)
	}
	x.d.put(puts...)
}

// pod is the Pod of the template as it is after admission, with neither name nor index.
func (x *job) pod() (*corev1.Pod, error) {
	t := &x.spec.Template
	pod, err := admit.Pod(x.d.w, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: x.r.Ref.Namespace, GenerateName: x.r.Ref.Name + "-",
			Labels: state.LabelJobPods(x.r.Object.(*batchv1.Job), x.r.UID), Annotations: t.Annotations,
			OwnerReferences: []metav1.OwnerReference{controllerRef(x.r)},
			Finalizers:      append(slices.Clone(t.Finalizers), batchv1.JobTrackingFinalizer),
		},
		Spec: t.Spec,
	})
	if err != nil || !x.indexed() {
		return pod, err
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			tellIndex(&list[i])
		}
	}
	return pod, nil
}

// tellIndex lets a container know its index, unless it says itself how.
func tellIndex(c *corev1.Container) {
	if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == completionIndex }) {
		return
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: completionIndex, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{
		APIVersion: "v1", FieldPath: "metadata.labels['" + batchv1.JobCompletionIndexAnnotation + "']",
	}}})
}

// part is the Pod for an index. It shares the memory of the given one: neither is ever modified.
func (x *job) part(pod *corev1.Pod, index int) *corev1.Pod {
	one := *pod
	if index == noIndex {
		return &one
	}
	text := strconv.Itoa(index)
	one.GenerateName = indexedName(x.r.Ref.Name, text)
	one.Spec.Hostname = x.r.Ref.Name + "-" + text
	one.Labels = withLabel(pod.Labels, batchv1.JobCompletionIndexAnnotation, text)
	one.Annotations = maps.Clone(pod.Annotations)
	if one.Annotations == nil {
		one.Annotations = map[string]string{}
	}
	one.Annotations[batchv1.JobCompletionIndexAnnotation] = text
	if x.perIndex() {
		x.remember(one.Annotations, x.replaced[index])
	}
	return &one
}

// remember tells a Pod how often its index failed before.
func (x *job) remember(annotations map[string]string, last *jobPod) {
	var counted, ignored int32
	if last != nil {
		if counted, ignored = last.failures(); x.rule(last).counts() {
			counted++
		} else {
			ignored++
		}
	}
	annotations[batchv1.JobIndexFailureCountAnnotation] = strconv.Itoa(int(counted))
	if ignored > 0 {
		annotations[batchv1.JobIndexIgnoredFailureCountAnnotation] = strconv.Itoa(int(ignored))
	}
}

// indexedName is the beginning of the names of an index's Pods, of which the index is never cut off.
func indexedName(name, index string) string {
	const longest = 63 - 5
	end := "-" + index + "-"
	return name[:min(len(name), longest-len(end))] + end
}

// refused says that Pods are not admitted, and why, once.
func (x *job) refused(err error) bool {
	if err == nil {
		x.drop(refusedCondition)
		return false
	}
	if c := jobCondition(x.status, refusedCondition); c == nil || c.Message != err.Error() {
		x.d.event(x.r, corev1.EventTypeWarning, "FailedCreate", jobController, "Error creating: %s", err)
	}
	x.set(refusedCondition, corev1.ConditionTrue, "FailedCreate", err.Error())
	return true
}
