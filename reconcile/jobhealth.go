package reconcile

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// jobHealth is that of a Job: healthy once it is complete.
func jobHealth(w *state.World, r *state.Record, j *batchv1.Job) (State, string) {
	if managedElsewhere(j) {
		return Healthy, "managed by " + *j.Spec.ManagedBy
	}
	s, _ := r.Status.(*batchv1.JobStatus)
	if s == nil {
		return Progressing, "not looked at yet"
	}
	is := func(kind batchv1.JobConditionType) *batchv1.JobCondition {
		if c := jobCondition(s, kind); c != nil && c.Status == corev1.ConditionTrue {
			return c
		}
		return nil
	}
	if is(batchv1.JobComplete) != nil {
		return Healthy, "completed"
	}
	for _, kind := range []batchv1.JobConditionType{batchv1.JobFailed, batchv1.JobFailureTarget} {
		if c := is(kind); c != nil {
			return Degraded, because(c.Reason, c.Message)
		}
	}
	if c := is(refusedCondition); c != nil {
		return Degraded, c.Message
	}
	if c := is(waitingCondition); c != nil {
		return Progressing, c.Message
	}
	if is(batchv1.JobSuspended) != nil {
		return Suspended, "suspended"
	}
	return worse(jobProgress(j, s), sick(w, r))
}

// jobProgress is how far a Job is, in a few words.
func jobProgress(j *batchv1.Job, s *batchv1.JobStatus) string {
	text := fmt.Sprintf("%d succeeded", s.Succeeded)
	if j.Spec.Completions != nil {
		text = fmt.Sprintf("%d of %d completed", s.Succeeded, *j.Spec.Completions)
	}
	text += fmt.Sprintf(", %d active", s.Active)
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d failed", s.Failed)
	}
	return text
}
