package reconcile

import (
	"cmp"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/state"
)

const jobController = "job-controller"

// job is one Job in the making of a Plan. A Pod of it carries upstream's finalizer until its end is counted: counting
// it in the status and taking the finalizer off are facts of one Plan, so that no end counts twice, or never.
type job struct {
	d      *draft
	r      *state.Record
	spec   *batchv1.JobSpec
	status *batchv1.JobStatus // as it will be
	pods   []*jobPod          // as they were before this look
	// What is counted with the Pods that ended since.
	succeeded, failed int
	succeededIndexes  indexes
	failedIndexes     indexes
	setback           setback
	// replaced are the failed Pods of indexes that are to be tried again: what they know of earlier failures goes
	// over to the next.
	replaced map[int]*jobPod
}

// jobPod is a Pod of a Job.
type jobPod struct {
	r       *state.Record
	phase   corev1.PodPhase // Failed also of one of which nothing is left and that never said how it ended
	tracked bool            // it is not counted yet
	index   int
}

func (p *jobPod) active() bool {
	return p.r.Deletion == nil && p.phase != corev1.PodSucceeded && p.phase != corev1.PodFailed
}

func (p *jobPod) terminating() bool {
	return p.r.Deletion != nil && p.phase != corev1.PodSucceeded && p.phase != corev1.PodFailed
}

// job takes a Job as far as it can go now: it counts the Pods that ended, decides whether the Job ends, and makes or
// ends Pods. One that has ended never runs again.
func (d *draft) job(r *state.Record) {
	j, ok := r.Object.(*batchv1.Job)
	if !ok {
		return
	}
	if r.Origin == state.Derived && metav1.GetControllerOfNoCopy(j) != nil && controller(d.w, r) == nil {
		d.delete(r, "its owner is gone")
		return
	}
	if r.Deletion != nil || managedElsewhere(j) {
		return
	}
	if ended(r) {
		d.tidy(r, j)
		return
	}
	if d.held(r) {
		return
	}
	d.podLists(r, 0, 0)
	x := d.readJob(r, j)
	if x.waits() {
		d.setStatus(r, x.status, "")
		return
	}
	x.sync()
	d.setStatus(r, x.status, "")
}

// managedElsewhere says that somebody else's controller looks after a Job.
func managedElsewhere(j *batchv1.Job) bool {
	return j.Spec.ManagedBy != nil && *j.Spec.ManagedBy != batchv1.JobControllerName
}

func (d *draft) readJob(r *state.Record, j *batchv1.Job) *job {
	x := &job{d: d, r: r, spec: &j.Spec, status: &batchv1.JobStatus{}}
	if before, ok := r.Status.(*batchv1.JobStatus); ok {
		x.status = before.DeepCopy()
	}
	x.status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	if deref(j.Spec.ManualSelector) {
		d.claimPods(r)
	}
	for p := range d.w.Owned(r.UID) {
		if p.Ref.Kind == "Pod" {
			x.pods = append(x.pods, d.jobPod(p))
		}
	}
	if x.indexed() { // so that indexes complete in their order
		slices.SortStableFunc(x.pods, func(a, b *jobPod) int { return cmp.Compare(a.index, b.index) })
	}
	return x
}

func (d *draft) jobPod(r *state.Record) *jobPod {
	p := &jobPod{r: r, phase: r.PodStatus().Phase, tracked: tracked(r), index: indexOf(r)}
	switch {
	case terminal(r):
	case r.Deletion == nil && !p.tracked: // it has ended and is counted, whatever a status that was lost said
		p.phase = corev1.PodSucceeded
	case r.Deletion != nil && d.over(r) != "":
		p.phase = corev1.PodFailed
	}
	return p
}

// tracked says that the end of a Pod is not counted yet.
func tracked(r *state.Record) bool {
	return slices.Contains(r.Object.GetFinalizers(), batchv1.JobTrackingFinalizer)
}

// awaited says that the Job of a Pod has to count it before the Pod may go.
func (d *draft) awaited(r *state.Record) bool {
	if !tracked(r) {
		return false
	}
	owner := controller(d.w, r)
	if owner == nil || owner.Deletion != nil || ended(owner) || d.uses(owner) {
		return false
	}
	j, ok := owner.Object.(*batchv1.Job)
	return ok && !managedElsewhere(j)
}

// The limits of a Job, with upstream's defaults.

func (x *job) indexed() bool { return deref(x.spec.CompletionMode) == batchv1.IndexedCompletion }

func (x *job) perIndex() bool { return x.indexed() && x.spec.BackoffLimitPerIndex != nil }

func (x *job) completions() int { return int(deref(x.spec.Completions)) }

func (x *job) suspended() bool { return deref(x.spec.Suspend) }

func (x *job) parallelism() int { return int(orElse(x.spec.Parallelism, 1)) }

func (x *job) backoffLimit() int { return int(orElse(x.spec.BackoffLimit, 6)) }

func orElse[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// onlyFailed says that a Pod is replaced once it has ended, not when it begins to go.
func (x *job) onlyFailed() bool {
	return deref(x.spec.PodReplacementPolicy) == batchv1.Failed || x.spec.PodFailurePolicy != nil
}

// hasFailed says that a Pod counts as failed.
func (x *job) hasFailed(p *jobPod) bool {
	if p.phase == corev1.PodFailed {
		return true
	}
	return !x.onlyFailed() && p.r.Deletion != nil && p.phase != corev1.PodSucceeded
}

// valid says that a Pod belongs to a part of the Job that there is.
func (x *job) valid(p *jobPod) bool {
	return !x.indexed() || p.index != noIndex && p.index < x.completions()
}

// sync is one look at the Job: upstream's syncJob.
func (x *job) sync() {
	if x.status.StartTime == nil && !x.suspended() {
		x.status.StartTime = x.stamp()
	}
	x.count()
	end := x.verdict()
	if end != nil {
		x.endAll()
	} else {
		x.manage()
		if end = x.complete(); end == nil {
			x.suspension()
		}
	}
	x.track(end)
	x.tally()
	x.conclude(end)
}

func (x *job) stamp() *metav1.Time {
	now := x.d.stamp()
	return &now
}

// count takes in the Pods that ended since the last look.
func (x *job) count() {
	var good, bad []*jobPod
	for _, p := range x.pods {
		switch {
		case !p.tracked || !x.valid(p):
		case p.phase == corev1.PodSucceeded:
			good = append(good, p)
		case x.hasFailed(p):
			bad = append(bad, p)
		}
	}
	x.succeeded = int(x.status.Succeeded) + len(good)
	x.failed = int(x.status.Failed)
	for _, p := range bad {
		if x.rule(p).counts() {
			x.failed++
		}
	}
	if x.indexed() {
		x.countIndexes(good, bad)
	}
	x.setBack(good, bad)
}

// setBack keeps how often Pods failed in a row. A failed Pod that stays tracked for the next of its index is counted
// there once; Jobs with a limit per index do not ask for the whole.
func (x *job) setBack(good, bad []*jobPod) {
	before := parseSetback(x.r.Annotations[backoffAnnotation])
	if x.perIndex() {
		return
	}
	x.setback = before.after(good, bad)
	x.d.annotate(x.r, backoffAnnotation, x.setback.String(), "")
}

func (x *job) countIndexes(good, bad []*jobPod) {
	x.succeededIndexes = parseIndexes(x.status.CompletedIndexes, x.completions()).union(indexesOf(good))
	x.succeeded = x.succeededIndexes.count()
	if !x.perIndex() {
		return
	}
	var lost []*jobPod
	for _, p := range bad {
		if x.loses(p) {
			lost = append(lost, p)
		}
	}
	x.failedIndexes = parseIndexes(deref(x.status.FailedIndexes), x.completions()).union(indexesOf(lost))
	x.keepLast(bad)
}

func indexesOf(pods []*jobPod) indexes {
	var all []int
	for _, p := range pods {
		if p.index != noIndex {
			all = append(all, p.index)
		}
	}
	slices.Sort(all)
	return setOf(all)
}

// loses says that with a failed Pod its index has failed for good.
func (x *job) loses(p *jobPod) bool {
	rule := x.rule(p)
	if rule.action == batchv1.PodFailurePolicyActionFailIndex {
		return true
	}
	counted, _ := p.failures()
	return rule.counts() && counted >= *x.spec.BackoffLimitPerIndex
}

// keepLast finds the failed Pod of each index that has to be tried again.
func (x *job) keepLast(bad []*jobPod) {
	x.replaced = map[int]*jobPod{}
	var running []*jobPod
	for _, p := range x.pods {
		if p.active() {
			running = append(running, p)
		}
	}
	settled := x.succeededIndexes.union(x.failedIndexes).union(indexesOf(running))
	for _, p := range bad {
		if settled.has(p.index) {
			continue
		}
		if last := x.replaced[p.index]; last == nil || p.absolute() >= last.absolute() && !p.finished().Before(last.finished()) {
			x.replaced[p.index] = p
		}
	}
}

// absolute is how often the index of a Pod failed before it.
func (p *jobPod) absolute() int32 {
	counted, ignored := p.failures()
	return counted + ignored
}

// tidy takes away what a Job left behind, ttlSecondsAfterFinished after its end: one that was made with all of its
// Pods, one of the repository its Pods alone. Its record stays while it is declared, so that it does not run again.
func (d *draft) tidy(r *state.Record, j *batchv1.Job) {
	if j.Spec.TTLSecondsAfterFinished == nil {
		return
	}
	var left []*state.Record
	for p := range d.w.Owned(r.UID) {
		if p.Deletion == nil {
			left = append(left, p)
		}
	}
	if len(left) == 0 && r.Origin != state.Derived {
		return
	}
	const why = "ttlSecondsAfterFinished has passed"
	at := finishedAt(r).Add(state.Seconds(int64(*j.Spec.TTLSecondsAfterFinished)))
	switch {
	case at.After(d.now):
		d.later(at)
	case r.Origin == state.Derived:
		d.delete(r, why)
	default:
		for _, p := range left {
			d.end(p, why)
		}
	}
}

// finishedAt is when a Job that has ended did.
func finishedAt(r *state.Record) time.Time {
	s, _ := r.Status.(*batchv1.JobStatus)
	for _, kind := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		if c := jobCondition(s, kind); c != nil && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}
