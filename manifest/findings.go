package manifest

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// Nothing keeps the text of a file that is read, so finding the line of a field reads its file again.
// Findings beyond the first, and those in long documents, are told with the line of their object.
const (
	maxLocated      = 500
	maxLocatedBytes = 256 << 10
	maxTextBytes    = 32 << 20 // of files that are kept while a tree is loaded
)

// finding is something about a field of an object that only the whole commit shows.
type finding struct {
	at    *parsed
	field string // empty for the whole object
	what  string
}

// about notes a mistake of an object that is valid by itself.
func (l *loader) about(p *parsed, field, what string) {
	l.found = append(l.found, finding{p, field, what})
}

// spot is a field of an object. What an object that is taken over has at a line, it has there for ever.
type spot struct {
	at    *parsed
	field string
}

type spots map[spot]int

// settle finds the lines of findings, sorted by place, and notes them. What is found about a stand-in is left
// out.
func (l *loader) settle(found []finding, noted spots) Mistakes {
	found = slices.DeleteFunc(found, func(f finding) bool { return f.at.Guessed(f.what) })
	slices.SortFunc(found, func(a, b finding) int {
		return cmp.Or(a.at.Source.compare(b.at.Source), strings.Compare(a.field, b.field), strings.Compare(a.what, b.what), a.at.Ref.Compare(b.at.Ref))
	})
	settled := make(Mistakes, len(found))
	var last placed
	for i, f := range found {
		what := f.at.veil.hide(f.what)
		m := Mistake{Source: f.at.Source, Ref: f.at.Ref, What: shorten(what)}
		if f.field != "" {
			m.What = shorten(f.field + ": " + what)
			if i < maxLocated {
				m.Source.Line = l.spotLine(&last, f)
				noted[spot{f.at, f.field}] = m.Source.Line
			}
		}
		settled[i] = m
	}
	return settled
}

func (l *loader) spotLine(last *placed, f finding) int {
	if l.prev != nil {
		if line, known := l.prev.spots[spot{f.at, f.field}]; known {
			return line
		}
	}
	return last.line(l, f)
}

// placed is the file and the document that a line was looked up in last.
type placed struct {
	path   string
	chunks []chunk
	in     *locator
}

func (p *placed) line(l *loader, f finding) int {
	at := f.at.Source
	if p.path != at.Path {
		*p = placed{path: at.Path, chunks: l.chunks(at.Path)}
	}
	for _, c := range slices.Backward(p.chunks) {
		if c.line > at.Line {
			continue
		}
		if len(c.text) > maxLocatedBytes {
			return at.Line
		}
		if p.in == nil || p.in.chunk.line != c.line {
			p.in = &locator{chunk: c}
		}
		return p.in.line(f.at.within + "." + f.field)
	}
	return at.Line
}

// chunks are the documents of a file that was read before; none if it cannot be read again. They are
// kept for the rest of the load, as far as there is room: objects of one file are often told of together.
func (l *loader) chunks(name string) []chunk {
	if known, again := l.texts[name]; again {
		return known
	}
	data, err := l.readFile(name)
	var made []chunk
	switch {
	case err != nil || data == nil:
	case path.Ext(name) == ".json":
		made, _ = splitJSON(data)
	default:
		made = splitYAML(data)
	}
	if l.textBytes += len(data); l.textBytes <= maxTextBytes {
		l.texts[name] = made
	}
	return made
}
