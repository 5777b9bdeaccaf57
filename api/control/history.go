package control

import (
	"slices"
	"strconv"
	"time"

	"writ/manifest"
	"writ/state"
)

// Entry is one line of `writ history`: an adopted commit, or a revision of an object.
type Entry struct {
	Revision int64     `json:"revision,omitempty"` // of a Deployment
	Commit   string    `json:"commit,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Author   string    `json:"author,omitempty"`
	Adopted  time.Time `json:"adopted,omitzero"`
	Name     string    `json:"name,omitempty"` // of the ReplicaSet
	Cause    string    `json:"cause,omitempty"`
	Current  bool      `json:"current"`
}

// Commits is the adopted commits, newest first.
func Commits(w *state.World) []Entry {
	var entries []Entry
	for _, a := range slices.Backward(w.History()) {
		entries = append(entries, Entry{
			Commit: a.Commit, Subject: a.Subject, Author: a.Author, Adopted: a.Adopted,
			Current: a.Commit == w.Adopted().Commit && len(entries) == 0,
		})
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
