package sync

import (
	"strings"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/object"
)

const maxText = 500 // characters of a Trouble

// State is what is known about the followed repository, for people and metrics.
type State struct {
	// URL is without secrets.
	URL string `json:"url"`
	// Ref is what the configuration asks for, Resolved the full name it stands for; Resolved is
	// empty before the first look and for a commit hash.
	Ref      string `json:"ref"`
	Resolved string `json:"resolved,omitempty"`
	Path     string `json:"path"`
	// Newest is the hash of the newest commit seen, Delivered that of the newest handed out. They
	// differ while the newest cannot be used; Trouble then says why.
	Newest    string `json:"newest,omitempty"`
	Delivered string `json:"delivered,omitempty"`
	// Checked is the time of the last look, Succeeded that of the last one without trouble. Both
	// are zero before the first.
	Checked   time.Time `json:"checked"`
	Succeeded time.Time `json:"succeeded"`
	// Trouble is nil when the last look went well.
	Trouble *Trouble `json:"trouble,omitempty"`
	// Refused is the newest commit while it is here and not handed out because of what it is.
	Refused *Refused `json:"refused,omitempty"`
}

// Refused is a commit that is not handed out: who is not trusted, a folder that is not in it. What it
// says of itself is safe to show on a terminal.
type Refused struct {
	Hash    string    `json:"hash"`
	Subject string    `json:"subject"`
	Author  string    `json:"author"`
	Email   string    `json:"email"`
	When    time.Time `json:"when"`
	Why     Trouble   `json:"why"`
}

// refuse notes what became of the newest commit, nil if none is known, and tells whether a refusal is new.
func (s *State) refuse(c *object.Commit, p *problem) bool {
	switch {
	case p == nil:
		s.Refused = nil
		return false
	case c == nil || p.kind != Untrusted && p.kind != Rewritten && p.kind != PathMissing && p.kind != TooLarge:
		return false // the server is away, the disk is full: that says nothing new about the commit
	}
	before := s.Refused
	s.Refused = &Refused{
		Hash: c.Hash.String(), Subject: subject(c), Author: printable(c.Author.Name), Email: printable(c.Author.Email),
		When: c.Committer.When, Why: *s.Trouble,
	}
	return before == nil || before.Hash != s.Refused.Hash || before.Why.Text != s.Refused.Why.Text
}

// note records the outcome of a look. Trouble of the same kind keeps its first time.
func (s *State) note(now time.Time, p *problem) {
	s.Checked = now
	if p == nil {
		s.Succeeded, s.Trouble = now, nil
		return
	}
	since := now
	if s.Trouble != nil && s.Trouble.Kind == p.kind {
		since = s.Trouble.Since
	}
	s.Trouble = &Trouble{Kind: p.kind, Text: printable(p.Error()), Since: since}
}

// printable makes what a server may have said safe to show on a terminal, and short.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "..."
	}
	return text
}
