package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mistake is something wrong in a commit. Ref may be zero when no object could be read there.
type Mistake struct {
	Source Source `json:"source"`
	Ref    Ref    `json:"ref"`
	What   string `json:"what"`
}

// String is `path:line: Kind/namespace/name: what`, leaving out what is not known.
func (m Mistake) String() string {
	var b strings.Builder
	if m.Source.Path != "" {
		b.WriteString(m.Source.Path)
		if m.Source.Line > 0 {
			fmt.Fprintf(&b, ":%d", m.Source.Line)
		}
		b.WriteString(": ")
	}
	switch {
	case m.Ref.Kind != "" && m.Ref.Name != "":
		b.WriteString(m.Ref.String() + ": ")
	case m.Ref.Kind != "":
		b.WriteString(m.Ref.Kind + ": ")
	}
	b.WriteString(m.What)
	return b.String()
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
