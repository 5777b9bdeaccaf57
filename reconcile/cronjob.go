package reconcile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

const cronJobController = "cronjob-controller"

// Annotations that are computed for a CronJob, and outlive the daemon with it. Both hold a time (RFC 3339).
const (
	// cronSince: scheduled times up to then are settled. It is when the schedule was changed, or when the clock turned
	// out to have been far ahead.
	cronSince = "writ.dev/scheduled-since"
	// cronMissed is the last scheduled time of which it was told that nothing ran.
	cronMissed = "writ.dev/missed-schedule-time"
)

// clockTrust is how far ahead of the clock the last run may lie. Within it the clock was set back, and what ran does not
// run again; beyond it the clock was wrong then, and waiting until it is as late again would be to stop for good.
const clockTrust = 24 * time.Hour

// cronJob is one CronJob in the making of a Plan.
type cronJob struct {
	d      *draft
	r      *state.Record
	c      *batchv1.CronJob
	status *batchv1.CronJobStatus // as it will be
	jobs   []*state.Record        // its Jobs, the earliest scheduled first
}

// cronJob makes the Job of the latest scheduled time that is due, takes old Jobs away, and keeps the status. What was
// missed for whatever reason is caught up once, with the latest time; nothing makes it stop for good.
func (d *draft) cronJob(r *state.Record) {
	c, ok := r.Object.(*batchv1.CronJob)
	if !ok {
		return
	}
	x := &cronJob{d: d, r: r, c: c, status: &batchv1.CronJobStatus{}}
	if before, ok := r.Status.(*batchv1.CronJobStatus); ok {
		x.status = before.DeepCopy()
	}
	for j := range d.w.Owned(r.UID) {
		if _, ok := j.Object.(*batchv1.Job); ok {
			x.jobs = append(x.jobs, j)
		}
	}
	x.count()
	if r.Deletion == nil {
		x.tidy()
		switch {
		case !d.held(r) && !deref(c.Spec.Suspend):
			x.run()
		case x.rescheduled(): // what lies before it stays settled when the CronJob goes on
			x.since()
		}
	}
	d.setStatus(r, x.status, "")
}

// count brings the status up to what the Jobs say.
func (x *cronJob) count() {
	before := x.status.Active
	x.status.Active = nil
	for _, r := range x.jobs {
		how := finished(r)
		if how == "" {
			x.status.Active = append(x.status.Active, jobReference(r))
			continue
		}
		if slices.ContainsFunc(before, func(o corev1.ObjectReference) bool { return o.UID == r.UID }) {
			x.event(corev1.EventTypeNormal, "SawCompletedJob", "Saw completed job: %s, condition: %v", r.Ref.Name, how)
		}
		at, last := r.Status.(*batchv1.JobStatus).CompletionTime, x.status.LastSuccessfulTime
		if how == batchv1.JobComplete && at != nil && (last == nil || at.After(last.Time)) {
			x.status.LastSuccessfulTime = at
		}
	}
	for _, o := range before {
		if !slices.ContainsFunc(x.jobs, func(r *state.Record) bool { return r.UID == o.UID }) {
			x.event(corev1.EventTypeNormal, "MissingJob", "Active job went missing: %v", o.Name)
		}
	}
}

// finished is the condition by which a Job has ended, empty while it has not.
func finished(r *state.Record) batchv1.JobConditionType {
	s, ok := r.Status.(*batchv1.JobStatus)
	if !ok {
		return ""
	}
	for _, c := range s.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return c.Type
		}
	}
	return ""
}

func jobReference(r *state.Record) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Namespace: r.Ref.Namespace, Name: r.Ref.Name, UID: r.UID}
}

// tidy takes away the oldest of the Jobs that have ended, beyond as many as are to be kept of each outcome.
func (x *cronJob) tidy() {
	x.keep(batchv1.JobComplete, x.c.Spec.SuccessfulJobsHistoryLimit)
	x.keep(batchv1.JobFailed, x.c.Spec.FailedJobsHistoryLimit)
}

func (x *cronJob) keep(how batchv1.JobConditionType, limit *int32) {
	ended := slices.DeleteFunc(slices.Clone(x.jobs), func(r *state.Record) bool { return finished(r) != how })
	if limit == nil || len(ended) <= int(*limit) {
		return
	}
	slices.SortFunc(ended, func(a, b *state.Record) int {
		return cmp.Or(startOf(a).Compare(startOf(b)), strings.Compare(a.Ref.Name, b.Ref.Name))
	})
	for _, r := range ended[:len(ended)-int(*limit)] {
		x.drop(r, "beyond the history limit of "+x.r.Ref.Name)
	}
}

func startOf(r *state.Record) time.Time {
	if s, ok := r.Status.(*batchv1.JobStatus); ok && s.StartTime != nil {
		return s.StartTime.Time
	}
	return r.Created
}

// drop takes a Job away; its Pods end because it is gone.
func (x *cronJob) drop(r *state.Record, why string) {
	x.d.delete(r, why)
	same := func(o *state.Record) bool { return o.UID == r.UID }
	x.jobs = slices.DeleteFunc(x.jobs, same)
	x.status.Active = slices.DeleteFunc(x.status.Active, func(o corev1.ObjectReference) bool { return o.UID == r.UID })
	x.event(corev1.EventTypeNormal, "SuccessfulDelete", "Deleted job %v", r.Ref.Name)
}

func (x *cronJob) event(kind, reason, format string, args ...any) {
	x.d.event(x.r, kind, reason, cronJobController, format, args...)
}
