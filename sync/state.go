package sync

import (
	"strings"
	"time"
	"unicode"
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
