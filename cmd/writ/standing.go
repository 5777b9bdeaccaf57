package main

import (
	"fmt"
	"io"
	"strings"

	"writ/api/control"
)

// mostNamed is how many objects of a held commit are named one by one, unless all are asked for.
const mostNamed = 20

// printStanding prints how far the newest commit has come, and what it needs to get on.
func printStanding(out io.Writer, s *control.Status, v view) {
	if s.Suspended != nil && !strings.Contains(s.Held, s.Suspended.String()) {
		paragraph(out, "", "  ", "SUSPENDED: nothing is adopted: "+s.Suspended.String(), v.in(yellow))
	}
	if s.Allow != "" {
		printDeletes(out, s, v)
		printf(out, "  if that is meant, a line for the message of the newest commit:\n    %s\n", s.Allow)
	}
	head := "stages   "
	reached := true
	for _, stage := range s.Stages.List() {
		text, code := "", ""
		switch {
		case stage.Reached():
			text = ago(s.At, stage.At) + " ago"
			if stage.Reason != "" {
				text = fmt.Sprintf("%-9s %s", text, stage.Reason)
			}
		case !reached:
			text = "-"
		case s.Held != "":
			text, code = "no, see above", red
		case stage.Reason != "":
			text, code = "not yet: "+stage.Reason, yellow
		default:
			text, code = "not yet", yellow
		}
		reached = reached && stage.Reached()
		paragraph(out, fmt.Sprintf("%s%-10s", head, stage.Name), "                   ", text, v.in(code))
		head = "         "
	}
}

// printDeletes names what a held commit would delete.
func printDeletes(out io.Writer, s *control.Status, v view) {
	names := s.Deletes
	if n := len(names); n > mostNamed && !v.all {
		names = append(names[:mostNamed:mostNamed], fmt.Sprintf("and %d more (-a names all)", n-mostNamed))
	}
	for i, name := range names {
		if i == 0 {
			printf(out, "  it deletes:\n")
		}
		printf(out, "    %s\n", name)
	}
}
