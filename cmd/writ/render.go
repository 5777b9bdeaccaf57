package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"writ/api/control"
)

// view says how a status is printed.
type view struct {
	colour bool
	all    bool // healthy objects one by one too
	now    time.Time
}

const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	faint  = "\x1b[2m"
	plain  = "\x1b[0m"
)

func (v view) paint(code, text string) painted {
	text = printable(text)
	if !v.colour || code == "" || text == "" {
		return painted(text)
	}
	return painted(code + text + plain)
}

// in is paint with the colour chosen before.
func (v view) in(code string) func(string) painted {
	return func(text string) painted { return v.paint(code, text) }
}

func printStatus(out io.Writer, s *control.Status, v view) {
	state, code := headline(s)
	source := wrap(sourceLine(s)+", node "+s.Node, width-2-len(state), width-2)
	printf(out, "%s  %s\n", v.paint(code, state), source[0])
	for _, line := range source[1:] {
		printf(out, "  %s\n", line)
	}
	if s.Adopted != nil {
		printf(out, "adopted  %s  %s\n", short(s.Adopted.Hash), clip(s.Adopted.Subject, width-19))
		by := ", " + ago(s.At, s.Adopted.Adopted) + " ago"
		printf(out, "%s\n", v.paint(faint, "         by "+clip(s.Adopted.Author, width-12-len(by))+by))
	} else {
		printf(out, "adopted  nothing yet\n")
	}
	if s.Newest != nil {
		printf(out, "newest   %s  %s\n", short(s.Newest.Hash), clip(s.Newest.Subject, width-19))
	}
	if s.Held != "" {
		held := "NOT ADOPTED: " + s.Held
		if s.HeldSince != nil {
			held += fmt.Sprintf(" (since %s)", ago(s.At, *s.HeldSince))
		}
		paragraph(out, "", "  ", held, v.in(red))
		for _, m := range s.Mistakes {
			paragraph(out, "  ", "    ", m, v.in(""))
		}
	}
	printStanding(out, s, v)
	for _, t := range s.Troubles {
		if t.What == s.Held { // the newest commit is refused because of it
			continue
		}
		line := fmt.Sprintf("%s: %s", t.Component, t.What)
		if !t.Since.IsZero() {
			line += fmt.Sprintf(" (since %s)", ago(s.At, t.Since))
		}
		paragraph(out, "", "  ", line, v.in(yellow))
	}
	if s.Archived > 0 {
		paragraph(out, "", "  ", count(s.Archived, "container")+" of images from this node's archives (see writ tree)", v.in(faint))
	}
	for _, w := range s.Warnings {
		paragraph(out, "", "  ", "warning: "+w, v.in(yellow))
	}
	printObjects(out, s, v)
}

// headline is the whole status in one word, and its colour.
func headline(s *control.Status) (word, code string) {
	switch {
	case s.Suspended != nil && len(s.Mistakes) == 0:
		return "SUSPENDED", yellow
	case s.Held != "":
		return "HELD", red
	case s.Counts.Bad() > 0 || s.Impaired():
		return "DEGRADED", red
	case s.Healthy:
		return "HEALTHY", green
	}
	return "PROGRESSING", yellow
}

func sourceLine(s *control.Status) string {
	line := s.Source.URL
	if s.Source.Path != "" && s.Source.Path != "." {
		line += "//" + s.Source.Path
	}
	if s.Source.Ref != "" {
		line += " " + s.Source.Ref
	}
	return line
}

func printObjects(out io.Writer, s *control.Status, v view) {
	v.now = s.At
	parts := []string{fmt.Sprintf("%d healthy", s.Counts[control.Healthy])}
	for _, h := range slices.Sorted(maps.Keys(s.Counts)) {
		if h != control.Healthy {
			parts = append(parts, fmt.Sprintf("%d %s", s.Counts[h], strings.ToLower(string(h))))
		}
	}
	paragraph(out, "objects  ", "         ", strings.Join(parts, ", "), v.in(""))
	for i := range s.Objects {
		o := &s.Objects[i]
		if !v.all && o.Health == control.Healthy && o.Ready == "" {
			continue
		}
		printObject(out, o, v)
	}
}

func printObject(out io.Writer, o *control.Object, v view) {
	name := o.Kind + "/" + o.Name
	if o.Namespace != "" {
		name = o.Namespace + " " + name
	}
	ready := clip(o.Ready, 20)
	line := fmt.Sprintf("%-44s %s", clip(name, width-8-len(ready)), ready)
	printf(out, "  %s %s\n", v.mark(o.Health), strings.TrimRight(line, " "))
	if x := o.Rolling; x != nil && x.Wanted+x.New+x.Old > 0 {
		text := replicaText(x)
		if !x.Since.IsZero() {
			text += ", last step " + ago(v.now, x.Since)
		}
		paragraph(out, "      ", "      ", text, v.in(faint))
	}
	if o.Health == control.Healthy || o.Reason == "" {
		return
	}
	where := ""
	if o.Path != "" {
		where = fmt.Sprintf(" (%s:%d)", o.Path, o.Line)
	}
	paragraph(out, "      ", "      ", o.Reason+where, v.in(""))
}

func (v view) mark(h control.Health) painted {
	switch {
	case h == control.Healthy:
		return v.paint(green, "ok  ")
	case h == control.Stored:
		return v.paint(faint, "kept")
	case h == control.Suspended:
		return v.paint(yellow, "idle")
	case h.Bad():
		return v.paint(red, "BAD ")
	}
	return v.paint(yellow, "wait")
}
