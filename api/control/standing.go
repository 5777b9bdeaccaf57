package control

import (
	"slices"

	"writ/manifest"
	"writ/state"
)

// Standing is how far the newest commit has come, and what it needs to get on.
type Standing struct {
	// Stages are those of Newest, or else of Adopted.
	Stages Stages `json:"stages"`
	// Suspended is why nothing is adopted at all, by spec.suspend of the newest commit; nil if nothing is.
	Suspended *manifest.Suspend `json:"suspended,omitempty"`
	// Deletes is what a held commit would delete, Allow the line for the message of the newest commit
	// that lets it.
	Deletes []string `json:"deletes,omitempty"`
	Allow   string   `json:"allow,omitempty"`
	// SupersededBy is the newest commit where it keeps the one that was asked for from being adopted.
	SupersededBy string `json:"supersededBy,omitempty"`
}

// Stages are what a commit passes, in order: each with when it was reached, or why it is not.
type Stages struct {
	Seen     state.Stage `json:"seen"`
	Verified state.Stage `json:"verified"`
	Rendered state.Stage `json:"rendered"`
	Adopted  state.Stage `json:"adopted"`
	Healthy  state.Stage `json:"healthy"`
}

// NamedStage is a stage with its name.
type NamedStage struct {
	Name string
	state.Stage
}

// List is the stages in order.
func (s Stages) List() []NamedStage {
	return []NamedStage{{"seen", s.Seen}, {"verified", s.Verified}, {"rendered", s.Rendered}, {"adopted", s.Adopted}, {"healthy", s.Healthy}}
}

// StagesOf are those of a commit.
func StagesOf(p state.Progress) Stages {
	return Stages{Seen: p.Seen, Verified: p.Verified, Rendered: p.Rendered, Adopted: p.Adopted, Healthy: p.Healthy}
}

// Settled says that nobody has to wait for what is adopted, whatever becomes of a newer commit.
func (s *Status) Settled() bool {
	return s.Adopted != nil && !s.Impaired() && s.Counts.Fine() == len(s.Objects)
}

// Names are references as people write them, sorted.
func Names(refs []manifest.Ref) []string {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = ref.String()
	}
	slices.Sort(names)
	return names
}
