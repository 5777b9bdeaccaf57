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
}

// width is what the text keeps to.
const width = 80

const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	faint  = "\x1b[2m"
	plain  = "\x1b[0m"
)

func (v view) paint(code, text string) string {
	if !v.colour || text == "" {
		return text
	}
	return code + text + plain
}

func printStatus(out io.Writer, s *control.Status, v view) {
	fmt.Fprintf(out, "%s  %s, node %s\n", v.headline(s), sourceLine(s), s.Node)
	if s.Adopted != nil {
		fmt.Fprintf(out, "adopted  %s  %s\n", short(s.Adopted.Hash), clip(s.Adopted.Subject, width-19))
		fmt.Fprintln(out, v.paint(faint, fmt.Sprintf("         by %s, %s ago", s.Adopted.Author, ago(s.At, s.Adopted.Adopted))))
	} else {
		fmt.Fprintln(out, "adopted  nothing yet")
	}
	if s.Newest != nil {
		fmt.Fprintf(out, "newest   %s  %s\n", short(s.Newest.Hash), clip(s.Newest.Subject, width-19))
	}
	if s.Held != "" {
		held := "NOT ADOPTED: " + s.Held
		if s.HeldSince != nil {
			held += fmt.Sprintf(" (since %s)", ago(s.At, *s.HeldSince))
		}
		fmt.Fprintln(out, v.paint(red, held))
		for _, m := range s.Mistakes {
			fmt.Fprintln(out, "  "+m)
		}
	}
	for _, t := range s.Troubles {
		line := fmt.Sprintf("%s: %s", t.Component, t.What)
		if !t.Since.IsZero() {
			line += fmt.Sprintf(" (since %s)", ago(s.At, t.Since))
		}
		fmt.Fprintln(out, v.paint(yellow, line))
	}
	for _, w := range s.Warnings {
		fmt.Fprintln(out, v.paint(yellow, "warning: "+w))
	}
	printObjects(out, s, v)
}

func (v view) headline(s *control.Status) string {
	switch {
	case s.Held != "":
		return v.paint(red, "HELD")
	case s.Counts.Bad() > 0:
		return v.paint(red, "DEGRADED")
	case s.Healthy:
		return v.paint(green, "HEALTHY")
	}
	return v.paint(yellow, "PROGRESSING")
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
	parts := []string{fmt.Sprintf("%d healthy", s.Counts[control.Healthy])}
	for _, h := range slices.Sorted(maps.Keys(s.Counts)) {
		if h != control.Healthy {
			parts = append(parts, fmt.Sprintf("%d %s", s.Counts[h], strings.ToLower(string(h))))
		}
	}
	fmt.Fprintf(out, "objects  %s\n", strings.Join(parts, ", "))
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
	line := fmt.Sprintf("%-44s %s", clip(name, 44), clip(o.Ready, 20))
	fmt.Fprintf(out, "  %s %s\n", v.mark(o.Health), strings.TrimRight(line, " "))
	if o.Health == control.Healthy || o.Reason == "" {
		return
	}
	where := ""
	if o.Path != "" {
		where = fmt.Sprintf(" (%s:%d)", o.Path, o.Line)
	}
	for _, line := range wrap(o.Reason+where, width-6) {
		fmt.Fprintln(out, "      "+line)
	}
}

func (v view) mark(h control.Health) string {
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

func short(hash string) string { return clip(hash, 8) }

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	if n <= 8 {
		return string(r[:n])
	}
	return string(r[:n-3]) + "..."
}

// wrap breaks text at spaces into lines of at most n characters where words allow it.
func wrap(text string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > n {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// ago is a duration as people say it: 12s, 5m, 3h, 4d.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return "?"
	}
	d := max(0, now.Sub(then))
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
