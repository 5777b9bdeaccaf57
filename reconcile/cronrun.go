package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// run makes the Job of the latest scheduled time, if nothing speaks against it, and asks to be looked at at the next.
func (x *cronJob) run() {
	table, err := timetableOf(x.c)
	if err != nil { // a mistake of the commit, and adopted by a version that did not know it
		x.d.note(x.r.Ref, "spec.schedule", err.Error())
		return
	}
	since := x.since()
	due := table.last(since, x.d.now)
	if next := table.after(since, due, x.d.now); !next.IsZero() {
		x.d.later(next)
	}
	if due.IsZero() {
		return
	}
	if x.wanted(due) {
		if table.many(since, x.d.now, 100) {
			x.event(corev1.EventTypeWarning, "TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
		}
		x.create(due)
	}
}

// since is after when scheduled times count: the last that ran, or the creation, or what the annotation says, which is
// there only while it is younger than both.
func (x *cronJob) since() time.Time {
	now := x.d.now.Truncate(time.Second).UTC()
	at := x.r.Created
	if last := x.status.LastScheduleTime; last != nil {
		at = last.Time
	}
	if t, err := time.Parse(time.RFC3339, x.d.w.Get(x.r.Ref).Annotations[cronSince]); err == nil {
		at = t
	}
	switch {
	case at.After(now.Add(clockTrust)):
		x.event(corev1.EventTypeWarning, "ClockSetBack", "the clock was far ahead, at %s: scheduled times count from now on", at.UTC().Format(time.RFC3339))
		at = now
		x.status.LastScheduleTime = nil
		x.d.annotate(x.r, cronSince, now.Format(time.RFC3339), "the clock was far ahead")
	case x.rescheduled():
		if now.After(at) { // or else the clock was set back: what ran does not run again
			at = now
		}
		x.d.annotate(x.r, cronSince, at.UTC().Format(time.RFC3339), "its schedule changed")
	}
	return at
}

// rescheduled says that this draft gave the CronJob another schedule: times of the new one that lie before it are not
// missed ones.
func (x *cronJob) rescheduled() bool {
	old := x.d.base.Get(x.r.Ref)
	if old == nil || old.UID != x.r.UID {
		return false
	}
	c, ok := old.Object.(*batchv1.CronJob)
	return ok && (c.Spec.Schedule != x.c.Spec.Schedule || deref(c.Spec.TimeZone) != deref(x.c.Spec.TimeZone))
}

// wanted says that the Job of a scheduled time is to be made. If not, people are told why, once for each time; it may
// still be made later, once what is in its way is gone and if its deadline allows.
func (x *cronJob) wanted(due time.Time) bool {
	have := x.d.w.Get(x.jobRef(due))
	switch {
	case have != nil && metav1.IsControlledBy(have.Object, x.owner()): // of the same minute
		x.status.LastScheduleTime = &metav1.Time{Time: due}
	case x.late(due):
		x.missed(due, corev1.EventTypeWarning, "MissSchedule", "Missed scheduled time to start a job: %s", due.Format(time.RFC1123Z))
	case have != nil:
		x.missed(due, corev1.EventTypeWarning, "FailedCreate", "Error creating job: jobs.batch %q already exists", have.Ref.Name)
	case x.c.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent && len(x.status.Active) > 0:
		x.missed(due, corev1.EventTypeNormal, "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
	case x.status.LastScheduleTime == nil && len(x.d.waitsFor(x.r)) > 0:
		x.missed(due, corev1.EventTypeNormal, waitingEvent, "%s", waitingText(x.d.waitsFor(x.r)))
	default:
		return true
	}
	return false
}

// late says that the deadline of a scheduled time has passed. Fractions of a second do not count.
func (x *cronJob) late(due time.Time) bool {
	deadline := x.c.Spec.StartingDeadlineSeconds
	return deadline != nil && due.Add(state.Seconds(*deadline)).Before(x.d.now.Truncate(time.Second))
}

// missed tells once that nothing runs at a scheduled time, or not yet.
func (x *cronJob) missed(due time.Time, kind, reason, format string, args ...any) {
	at := due.Format(time.RFC3339)
	if x.d.w.Get(x.r.Ref).Annotations[cronMissed] == at {
		return
	}
	x.event(kind, reason, format, args...)
	x.d.annotate(x.r, cronMissed, at, reason)
}

// jobRef names the Job of a scheduled time as upstream, by the minutes since 1970: one time has one Job.
func (x *cronJob) jobRef(due time.Time) manifest.Ref {
	return manifest.Ref{
		Group: batchv1.GroupName, Kind: "Job", Namespace: x.r.Ref.Namespace,
		Name: fmt.Sprintf("%s-%d", x.r.Ref.Name, due.Unix()/60),
	}
}

func (x *cronJob) owner() *metav1.ObjectMeta {
	return &metav1.ObjectMeta{Name: x.r.Ref.Name, Namespace: x.r.Ref.Namespace, UID: x.r.UID}
}

// create makes the Job of a scheduled time. With Replace it takes the place of those that still run.
func (x *cronJob) create(due time.Time) {
	ref := x.jobRef(due)
	if x.c.Spec.ConcurrencyPolicy == batchv1.ReplaceConcurrent {
		for _, r := range slices.Clone(x.jobs) {
			if finished(r) == "" {
				x.drop(r, ref.Name+" takes its place")
			}
		}
	}
	x.d.put(state.Put{Ref: ref, Object: defaulted(x.job(ref, due)), Origin: state.Derived, Why: "scheduled for " + due.Format(time.RFC3339)})
	made := x.d.w.Get(ref)
	if made == nil { // the draft has failed
		return
	}
	x.jobs = append(x.jobs, made)
	x.status.Active = append(x.status.Active, jobReference(made))
	x.status.LastScheduleTime = &metav1.Time{Time: due}
	x.d.annotate(x.r, cronSince, "", "")
	x.event(corev1.EventTypeNormal, "SuccessfulCreate", "Created job %v", ref.Name)
}

// job is the Job of a scheduled time.
func (x *cronJob) job(ref manifest.Ref, due time.Time) *batchv1.Job {
	template := &x.c.Spec.JobTemplate
	annotations := maps.Clone(template.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	zone, err := manifest.CronZone(x.c)
	if err != nil {
		zone = time.UTC // not without a schedule, which has it too
	}
	annotations[batchv1.CronJobScheduledTimestampAnnotation] = due.In(zone).Format(time.RFC3339)
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ref.Namespace, Name: ref.Name, Labels: maps.Clone(template.Labels), Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{controllerRef(x.r)},
		},
		Spec: template.Spec,
	}
}

// cronWakes yields the CronJob for which the name of a Job that is gone was taken.
func cronWakes(gone *state.Record, yield func(Key)) {
	if at := strings.LastIndexByte(gone.Ref.Name, '-'); at > 0 {
		yield(Key{cronJobs, manifest.Ref{Group: batchv1.GroupName, Kind: "CronJob", Namespace: gone.Ref.Namespace, Name: gone.Ref.Name[:at]}})
	}
}

// cronJobHealth is well as long as it can run; how its last Job ended is said beside it.
func cronJobHealth(w *state.World, r *state.Record, c *batchv1.CronJob) (State, string) {
	if _, err := timetableOf(c); err != nil {
		return Degraded, err.Error()
	}
	if deref(c.Spec.Suspend) {
		return Suspended, "suspended"
	}
	why := ""
	for j := range w.Owned(r.UID) { // the last by name is the latest
		if s, ok := j.Status.(*batchv1.JobStatus); ok {
			switch finished(j) {
			case batchv1.JobFailed:
				why = "the last job failed: " + j.Ref.Name
				if c := jobCondition(s, batchv1.JobFailed); c != nil {
					why = because(why, because(c.Reason, c.Message))
				}
			case batchv1.JobComplete:
				why = ""
			}
		}
	}
	return Healthy, why
}
