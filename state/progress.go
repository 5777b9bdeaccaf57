package state

import "time"

// Progress is how far one commit has come, told to people. It is no part of the World: state/history
// keeps it. It holds no values of any object.
type Progress struct {
	Commit    string    `json:"commit"` // hash
	Branch    string    `json:"branch,omitempty"`
	Subject   string    `json:"subject,omitempty"`
	Author    string    `json:"author,omitempty"`
	Committed time.Time `json:"committed,omitzero"`

	Seen     Stage `json:"seen,omitzero"`
	Verified Stage `json:"verified,omitzero"`
	Rendered Stage `json:"rendered,omitzero"`
	Adopted  Stage `json:"adopted,omitzero"`
	Healthy  Stage `json:"healthy,omitzero"`

	// Created, Changed and Deleted are how many declared objects its adoption made, moved on and removed.
	Created int `json:"created,omitempty"`
	Changed int `json:"changed,omitempty"`
	Deleted int `json:"deleted,omitempty"`
}

// Stage is one of those that a commit passes, in the order of Progress.
type Stage struct {
	At     time.Time `json:"at,omitzero"`      // when it was reached; zero while it is not
	Reason string    `json:"reason,omitempty"` // why it is not, or what else is to know
}

// Reached says that the commit has passed the stage.
func (s Stage) Reached() bool { return !s.At.IsZero() }

// Outcome is what became of a commit, in a word.
type Outcome string

// What may become of a commit.
const (
	UnderWay   Outcome = "under way"
	Stopped    Outcome = "stopped" // refused or held; the stage that was not reached says why
	Superseded Outcome = "superseded"
	InForce    Outcome = "adopted"
	Healthy    Outcome = "healthy"
)

// stages are in the order in which a commit passes them.
func (p *Progress) stages() []*Stage {
	return []*Stage{&p.Seen, &p.Verified, &p.Rendered, &p.Adopted, &p.Healthy}
}

// Outcome tells what became of the commit; newest says that no other was seen after it.
func (p Progress) Outcome(newest bool) Outcome {
	switch {
	case p.Healthy.Reached():
		return Healthy
	case p.Adopted.Reached():
		return InForce
	}
	for _, s := range p.stages() {
		if !s.Reached() && s.Reason != "" {
			return Stopped
		}
	}
	if newest {
		return UnderWay
	}
	return Superseded
}

// Took is the time from the moment at which the commit was seen to the last stage that it reached.
func (p Progress) Took() time.Duration {
	var took time.Duration
	for _, s := range p.stages() {
		if s.Reached() && p.Seen.Reached() {
			took = max(took, s.At.Sub(p.Seen.At))
		}
	}
	return took
}

// Merge is what is known of a commit after more was told of it. A stage that was reached stays as it
// was: a daemon that was started again sees its commit anew and takes nothing back.
func (p Progress) Merge(later Progress) Progress {
	next := later
	for i, s := range next.stages() {
		if was := *p.stages()[i]; was.Reached() || *s == (Stage{}) {
			*s = was
		}
	}
	if next.Created|next.Changed|next.Deleted == 0 {
		next.Created, next.Changed, next.Deleted = p.Created, p.Changed, p.Deleted
	}
	return next
}
