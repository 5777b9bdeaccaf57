package reconcile

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// refusedCondition is the type of the condition by which a Job says that its Pods are not admitted.
const refusedCondition = "writ.dev/FailedCreate"

// verdict is why the Job ends before all is done, in upstream's order; nil if it goes on.
func (x *job) verdict() *batchv1.JobCondition {
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobFailureTarget} {
		if c := jobCondition(x.status, kind); c != nil && c.Status == corev1.ConditionTrue {
			before := *c
			return &before
		}
	}
	for _, p := range x.pods {
		if x.spec.PodFailurePolicy != nil && x.hasFailed(p) {
			if rule := x.rule(p); rule.action == batchv1.PodFailurePolicyActionFailJob {
				return x.condition(batchv1.JobFailureTarget, batchv1.JobReasonPodFailurePolicy, rule.message)
			}
		}
	}
	switch {
	case x.failed > x.backoffLimit() || x.restartedTooOften():
		return x.condition(batchv1.JobFailureTarget, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
	case x.late():
		return x.condition(batchv1.JobFailureTarget, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
	}
	if x.perIndex() {
		failed := x.failedIndexes.count()
		switch {
		case x.spec.MaxFailedIndexes != nil && failed > int(*x.spec.MaxFailedIndexes):
			return x.condition(batchv1.JobFailureTarget, batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes")
		case failed > 0 && failed+x.succeededIndexes.count() >= x.completions():
			return x.condition(batchv1.JobFailureTarget, batchv1.JobReasonFailedIndexes, "Job has failed indexes")
		}
	}
	if which := x.successRule(); which != "" {
		return x.condition(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonSuccessPolicy, which)
	}
	return nil
}

// restartedTooOften says that the containers of Pods with restartPolicy OnFailure were started again as often as
// backoffLimit allows Pods to fail.
func (x *job) restartedTooOften() bool {
	if x.spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	n := 0
	for _, p := range x.pods {
		if p.phase != corev1.PodRunning && p.phase != corev1.PodPending {
			continue
		}
		s := p.r.PodStatus()
		for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
			for i := range list {
				n += int(list[i].RestartCount)
			}
		}
	}
	return n > 0 && n >= x.backoffLimit()
}

// late says that the Job was active for activeDeadlineSeconds; before, it asks to be looked at then.
func (x *job) late() bool {
	if x.spec.ActiveDeadlineSeconds == nil || x.status.StartTime == nil || x.suspended() {
		return false
	}
	at := x.status.StartTime.Add(state.Seconds(*x.spec.ActiveDeadlineSeconds))
	if at.After(x.d.now) {
		x.d.later(at)
		return false
	}
	return true
}

// complete is that as many Pods succeeded as the Job asks for, or of a work queue that one did and none runs any more.
func (x *job) complete() *batchv1.JobCondition {
	if x.left() > 0 || x.spec.Completions == nil && x.succeeded == 0 || x.succeeded < x.completions() {
		return nil
	}
	return x.condition(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods")
}

// left is how many Pods are active by now.
func (x *job) left() (n int) {
	for p := range x.d.w.Owned(x.r.UID) {
		if p.Ref.Kind == "Pod" && x.d.jobPod(p).active() {
			n++
		}
	}
	return n
}

// suspension says in the status that the Job is suspended, or goes on: then its time begins anew.
func (x *job) suspension() {
	c := jobCondition(x.status, batchv1.JobSuspended)
	was := c != nil && c.Status == corev1.ConditionTrue
	switch {
	case x.suspended() && !was:
		x.set(batchv1.JobSuspended, corev1.ConditionTrue, "JobSuspended", "Job suspended")
		x.d.event(x.r, corev1.EventTypeNormal, "Suspended", jobController, "Job suspended")
		x.status.StartTime = nil
	case !x.suspended() && was:
		x.set(batchv1.JobSuspended, corev1.ConditionFalse, "JobResumed", "Job resumed")
		x.d.event(x.r, corev1.EventTypeNormal, "Resumed", jobController, "Job resumed")
		x.status.StartTime = x.stamp()
	}
}

// track counts the Pods that ended, each once: what is counted is tracked no more. When the Job has failed, those
// that it ended count as failed.
func (x *job) track(end *batchv1.JobCondition) {
	lost := end != nil && end.Type != batchv1.JobSuccessCriteriaMet
	for _, p := range x.pods {
		failed := x.hasFailed(p)
		switch {
		case !p.tracked:
			continue
		case end == nil && p.phase != corev1.PodSucceeded && (!failed || x.replaced[p.index] == p):
			continue
		case p.phase == corev1.PodSucceeded:
			if !x.indexed() {
				x.status.Succeeded++
			}
		case (failed || lost) && x.valid(p) && x.known(p) && x.rule(p).counts():
			x.status.Failed++
		}
		x.release(p)
	}
	if !x.indexed() {
		return
	}
	x.status.Succeeded = int32(x.succeededIndexes.count())
	x.status.CompletedIndexes = x.succeededIndexes.String()
	if x.status.FailedIndexes = nil; x.perIndex() {
		text := x.failedIndexes.String()
		x.status.FailedIndexes = &text
	}
}

// known says that a Pod was there before this Plan: one that is made and ended in it never was.
func (x *job) known(p *jobPod) bool {
	old := x.d.base.Get(p.r.Ref)
	return old != nil && old.UID == p.r.UID
}

// tally is what runs by now.
func (x *job) tally() {
	var active, ready, terminating int32
	for r := range x.d.w.Owned(x.r.UID) {
		if r.Ref.Kind != "Pod" {
			continue
		}
		switch p := x.d.jobPod(r); {
		case p.active():
			active++
			if podReady(r) {
				ready++
			}
		case p.terminating():
			terminating++
		}
	}
	x.status.Active, x.status.Ready, x.status.Terminating = active, &ready, &terminating
}

// conclude writes down that the Job ends, and once none of its Pods is left running, that it has ended.
func (x *job) conclude(end *batchv1.JobCondition) {
	if end == nil {
		return
	}
	if jobCondition(x.status, end.Type) == nil {
		x.status.Conditions = append(x.status.Conditions, *end)
	}
	if deref(x.status.Terminating) > 0 || x.status.Active > 0 {
		return
	}
	x.drop(refusedCondition)
	x.d.annotate(x.r, backoffAnnotation, "", "")
	if end.Type == batchv1.JobFailureTarget {
		x.set(batchv1.JobFailed, corev1.ConditionTrue, end.Reason, end.Message)
		x.d.event(x.r, corev1.EventTypeWarning, end.Reason, jobController, "%s", end.Message)
		return
	}
	x.set(batchv1.JobComplete, corev1.ConditionTrue, end.Reason, end.Message)
	x.status.CompletionTime = x.stamp()
	if x.spec.Completions != nil && int(x.status.Succeeded) > x.completions() {
		x.d.event(x.r, corev1.EventTypeWarning, "TooManySucceededPods", jobController, "Too many succeeded pods running after completion count reached")
	}
	x.d.event(x.r, corev1.EventTypeNormal, "Completed", jobController, "Job completed")
}

// waits says that the Job has not begun, and waits for what it depends on; the status says for what.
func (x *job) waits() bool {
	x.status.Conditions = slices.Clip(x.status.Conditions)
	if x.status.StartTime != nil || x.suspended() || len(x.pods) > 0 {
		x.drop(waitingCondition)
		return false
	}
	waits := x.d.waitsFor(x.r)
	if len(waits) == 0 {
		x.drop(waitingCondition)
		return false
	}
	text := waitingText(waits)
	if jobCondition(x.status, waitingCondition) == nil {
		x.d.event(x.r, corev1.EventTypeNormal, waitingEvent, jobController, "%s", text)
	}
	x.set(waitingCondition, corev1.ConditionTrue, waitingReason, text)
	return true
}

func (x *job) condition(kind batchv1.JobConditionType, reason, message string) *batchv1.JobCondition {
	now := x.d.stamp()
	return &batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, LastProbeTime: now, LastTransitionTime: now, Reason: reason, Message: message}
}

// set states a condition, which keeps its time while it says the same.
func (x *job) set(kind batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string) {
	next := x.condition(kind, reason, message)
	next.Status = status
	c := jobCondition(x.status, kind)
	switch {
	case c == nil:
		x.status.Conditions = append(x.status.Conditions, *next)
	case c.Status != status || c.Reason != reason || c.Message != message:
		*c = *next
	}
}

func (x *job) drop(kind batchv1.JobConditionType) {
	x.status.Conditions = slices.DeleteFunc(x.status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == kind })
}

func jobCondition(s *batchv1.JobStatus, kind batchv1.JobConditionType) *batchv1.JobCondition {
	if s == nil {
		return nil
	}
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}
