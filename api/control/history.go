package control

import (
	"cmp"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/reconcile"
	"writ/state"
)

// Entry is one line of `writ history`: a commit, or a revision of an object.
type Entry struct {
	Revision  int64     `json:"revision,omitempty"` // of a Deployment, StatefulSet or DaemonSet
	Commit    string    `json:"commit,omitempty"`
	Branch    string    `json:"branch,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Author    string    `json:"author,omitempty"`
	Committed time.Time `json:"committed,omitzero"`
	Adopted   time.Time `json:"adopted,omitzero"`
	Name      string    `json:"name,omitempty"` // of what keeps the revision, or of the run
	Cause     string    `json:"cause,omitempty"`
	Current   bool      `json:"current"`

	// Of a revision or a run: when it began, how it ended, and in Seconds how long that took.
	Begun   time.Time `json:"begun,omitzero"`
	Outcome string    `json:"outcome,omitempty"` // rolling, complete, failed or superseded; of a run running, complete or failed

	// Of a commit: what became of it, and why it got no further; how long it took from being seen to the
	// last stage that it reached; and what its adoption did to declared objects.
	Result  state.Outcome `json:"result,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	Seconds float64       `json:"seconds,omitempty"`
	Created int           `json:"created,omitempty"`
	Changed int           `json:"changed,omitempty"`
	Deleted int           `json:"deleted,omitempty"`
	Stages  *Stages       `json:"stages,omitempty"`
}

// Commits is what became of commits, newest first. adopted is the one in force.
func Commits(history []state.Progress, adopted string) []Entry {
	entries := []Entry{}
	current := false
	for i, p := range history {
		stages := StagesOf(p)
		e := Entry{
			Commit: p.Commit, Branch: p.Branch, Subject: p.Subject, Author: p.Author, Committed: p.Committed, Adopted: p.Adopted.At,
			Result: p.Outcome(i == 0), Seconds: p.Took().Seconds(), Created: p.Created, Changed: p.Changed, Deleted: p.Deleted, Stages: &stages,
		}
		e.Current = !current && p.Commit == adopted && p.Adopted.Reached()
		current = current || e.Current
		for _, s := range stages.List() {
			if !s.Reached() && s.Reason != "" {
				e.Reason = s.Reason
				break
			}
		}
		entries = append(entries, e)
	}
	return entries
}

// Revisions is the revisions that are kept of a Deployment, StatefulSet or DaemonSet, or the Jobs that are kept of a
// CronJob, newest first; false for kinds that have neither.
func Revisions(w *state.World, owner *state.Record) ([]Entry, bool) {
	adoptions := map[string]state.Adoption{}
	for _, a := range w.History() {
		adoptions[a.Commit] = a
	}
	kind := reconcile.RevisionKind(owner.Ref.GroupKind())
	entries := []Entry{}
	for r := range w.Owned(owner.UID) {
		var e Entry
		switch _, isJob := r.Object.(*batchv1.Job); {
		case kind.Kind != "" && r.Ref.GroupKind() == kind && reconcile.RevisionNumber(r) > 0:
			e = revision(r)
		case owner.Ref.Kind == "CronJob" && isJob:
			e = run(w, r)
		default:
			continue
		}
		a := adoptions[e.Commit]
		e.Subject, e.Author, e.Adopted = a.Subject, a.Author, a.Adopted
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.Revision, a.Revision), b.Begun.Compare(a.Begun), strings.Compare(a.Name, b.Name))
	})
	if len(entries) > 0 && kind.Kind != "" {
		entries[0].Current = true
	}
	return entries, kind.Kind != "" || owner.Ref.Kind == "CronJob"
}

// revision is what is known of a revision by the record that keeps it.
func revision(r *state.Record) Entry {
	const cause = "kubernetes.io/change-cause"
	e := Entry{
		Revision: reconcile.RevisionNumber(r), Name: r.Ref.Name, Cause: r.Object.GetAnnotations()[cause], Commit: r.Commit,
	}
	if x, ok := reconcile.RolloutOf(r); ok {
		e.Commit, e.Begun, e.Outcome = x.Commit, x.Begun, cmp.Or(string(x.Outcome), "rolling")
		if !x.Ended.IsZero() {
			e.Seconds = x.Ended.Sub(x.Begun).Seconds()
		}
	}
	return e
}

// run is a Job of a CronJob.
func run(w *state.World, r *state.Record) Entry {
	e := Entry{Name: r.Ref.Name, Commit: r.Commit, Begun: r.Created, Outcome: "running"}
	s, _ := r.Status.(*batchv1.JobStatus)
	if s == nil {
		return e
	}
	if s.StartTime != nil {
		e.Begun = s.StartTime.Time
	}
	for _, c := range s.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			e.Outcome = strings.ToLower(string(c.Type))
			e.Seconds = c.LastTransitionTime.Sub(e.Begun).Seconds()
			if c.Type == batchv1.JobFailed {
				_, e.Reason = reconcile.Health(w, r.Ref)
			}
		}
	}
	return e
}
