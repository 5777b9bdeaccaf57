package loop

import (
	"slices"
	"time"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// Report is what the loop knows and the World does not: the newest commit, and why it is not adopted.
type Report struct {
	// Newest is the newest commit that came; its FS is not set. Zero before the first.
	Newest Commit `json:"newest"`
	// Adopted says that Newest is the adopted commit.
	Adopted bool `json:"adopted"`
	// Loading says that Newest is still being read.
	Loading bool `json:"loading,omitempty"`
	// Hints are what is warned of in Newest beside its Mistakes.
	Hints manifest.Mistakes `json:"hints,omitempty"`
	// Mistakes and Held say why Newest is not adopted, Unread that its tree could not be read.
	Mistakes manifest.Mistakes `json:"mistakes,omitempty"`
	Held     string            `json:"held,omitempty"`
	Unread   string            `json:"unread,omitempty"`
	// Deletes and Add are those of a commit that is held for what it deletes: all of it, and the line
	// that allows it.
	Deletes []manifest.Ref `json:"deletes,omitempty"`
	Add     string         `json:"add,omitempty"`
	// Suspend is why nothing is adopted at all; nil while adopting is not suspended.
	Suspend *manifest.Suspend `json:"suspend,omitempty"`
	// Stages is how far Newest has come.
	Stages Stages `json:"stages"`
	// Tally is what adopting Newest did to what is declared.
	Tally Tally `json:"tally"`
	// Since is when it came to stand as it does.
	Since time.Time `json:"since"`
	// Warnings are those of the adopted commit, if it was loaded since the start.
	Warnings manifest.Mistakes `json:"warnings,omitempty"`
	// Notes say which objects are not acted on, and why.
	Notes []reconcile.Note `json:"notes,omitempty"`
	// Trouble is why plans cannot be carried out at the moment, since TroubleSince.
	Trouble      string    `json:"trouble,omitempty"`
	TroubleSince time.Time `json:"troubleSince"`
}

// Report is how things stand.
func (l *Loop) Report() Report {
	suspend := l.store.World().Adopted().Settings.Spec.Suspend
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.report
	r.Mistakes, r.Warnings, r.Notes, r.Deletes = slices.Clone(r.Mistakes), slices.Clone(r.Warnings), slices.Clone(r.Notes), slices.Clone(r.Deletes)
	if r.Suspend == nil && !r.Adopted && suspend.Active(time.Now()) {
		r.Suspend = suspend // from before the start, or of a commit before the newest, which has a mistake
	}
	return r
}

// hold says that the newest commit is not adopted, and why; empty where something else says why.
func (r *Report) hold(why string) {
	r.Adopted, r.Since, r.Mistakes, r.Hints, r.Held, r.Unread = false, time.Now(), nil, nil, why, ""
	r.Deletes, r.Add, r.Suspend = nil, "", nil
	r.Stages.Adopted, r.Stages.Healthy = state.Stage{Reason: why}, state.Stage{}
}

// Set is that of the adopted commit, with where each object is written; nil if it was not loaded
// since the start.
func (l *Loop) Set() *manifest.Set {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set
}

func (l *Loop) tell(change func(*Report)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.report)
}

// came says that a commit is there and being read.
func (l *Loop) came(c Commit) {
	c.FS = nil
	l.tell(func(r *Report) {
		if r.Newest.Hash != c.Hash {
			r.hold("")
			r.Newest, r.Stages, r.Tally = c, started(c), Tally{}
		}
		r.Loading = true
	})
	l.pass()
}

// trouble says that plans cannot be carried out, or with nil that they can again.
func (l *Loop) trouble(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	l.tell(func(r *Report) {
		if r.Trouble != text {
			r.Trouble, r.TroubleSince = text, time.Now()
		}
	})
}
