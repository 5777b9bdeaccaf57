package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Mistake is something wrong in a commit. Ref may be zero when no object could be read there.
type Mistake struct {
	Source Source `json:"source"`
	Ref    Ref    `json:"ref"`
	What   string `json:"what"`
}

// String is `path:line: Kind/namespace/name: what`, leaving out what is not known. Whatever the names in
// the commit are, it changes nothing about the terminal that shows it.
func (m Mistake) String() string {
	var b strings.Builder
	if m.Source.Path != "" {
		b.WriteString(printable(m.Source.Path))
		if m.Source.Line > 0 {
			fmt.Fprintf(&b, ":%d", m.Source.Line)
		}
		b.WriteString(": ")
	}
	switch {
	case m.Ref.Kind != "" && m.Ref.Name != "":
		b.WriteString(printable(m.Ref.String()) + ": ")
	case m.Ref.Kind != "":
		b.WriteString(printable(m.Ref.Kind) + ": ")
	}
	for i, line := range strings.Split(m.What, "\n") { // upstream shows a difference in several
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(printable(line))
	}
	return b.String()
}

// printable replaces what could move the cursor of a terminal, hide text or begin a new line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		if r == '\t' {
			return ' '
		}
		return unicode.ReplacementChar
	}, text)
}

// Mistakes is every mistake of a commit, sorted by place. It is the error of Load.
type Mistakes []Mistake

// Error has one line a mistake.
func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

// Sort orders mistakes by path, line, object and text.
func (ms Mistakes) Sort() {
	slices.SortFunc(ms, func(a, b Mistake) int {
		return cmp.Or(
			strings.Compare(a.Source.Path, b.Source.Path),
			cmp.Compare(a.Source.Line, b.Source.Line),
			a.Ref.Compare(b.Ref),
			strings.Compare(a.What, b.What),
		)
	})
}
