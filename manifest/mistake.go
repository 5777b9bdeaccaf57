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
	for i, line := range strings.Split(strings.TrimSpace(m.What), "\n") { // upstream shows a difference in several
		if i > 0 {
			b.WriteString("\n    ")
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
func (ms Mistakes) Sort() { slices.SortFunc(ms, Mistake.Compare) }

// Compare orders by path, line, object and text.
func (m Mistake) Compare(o Mistake) int {
	return cmp.Or(m.Source.compare(o.Source), m.Ref.Compare(o.Ref), strings.Compare(m.What, o.What))
}
