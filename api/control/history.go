package control

import (
	"slices"
	"strconv"
	"time"

	"writ/manifest"
	"writ/state"
)

// Entry is one line of `writ history`: a commit, or a revision of an object.
type Entry struct {
	Revision  int64     `json:"revision,omitempty"` // of a Deployment
	Commit    string    `json:"commit,omitempty"`
	Branch    string    `json:"branch,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Author    string    `json:"author,omitempty"`
	Committed time.Time `json:"committed,omitzero"`
	Adopted   time.Time `json:"adopted,omitzero"`
	Name      string    `json:"name,omitempty"` // of the ReplicaSet
	Cause     string    `json:"cause,omitempty"`
	Current   bool      `json:"current"`

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

// Revisions is the revisions of a Deployment that are kept, newest first.
func Revisions(w *state.World, deployment *state.Record) []Entry {
	const revision, cause = "deployment.kubernetes.io/revision", "kubernetes.io/change-cause"
	subjects := map[string]state.Adoption{}
	for _, a := range w.History() {
		subjects[a.Commit] = a
	}
	var entries []Entry
	for r := range w.Owned(deployment.UID) {
		if r.Ref.GroupKind() != (manifest.ReplicaSetRef("", "")).GroupKind() {
			continue
		}
		n, err := strconv.ParseInt(r.Object.GetAnnotations()[revision], 10, 64)
		if err != nil {
			continue
		}
		a := subjects[r.Commit]
		entries = append(entries, Entry{
			Revision: n, Name: r.Ref.Name, Cause: r.Object.GetAnnotations()[cause],
			Commit: r.Commit, Subject: a.Subject, Author: a.Author, Adopted: a.Adopted,
		})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return int(b.Revision - a.Revision) })
	if len(entries) > 0 {
		entries[0].Current = true
	}
	return entries
}
