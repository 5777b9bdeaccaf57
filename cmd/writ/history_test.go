package main

import (
	"bytes"
	"testing"
	"time"

	"writ/api/control"
)

// A cause that is the commit's own says who wrote it; one that its author wrote stays as it is.
func TestPrintRevisions(t *testing.T) {
	commit := control.Entry{Revision: 2, Commit: "0123456789abcdef", Author: "Ada <ada@example.com>", Subject: "web: two", Name: "web-1", Outcome: "complete", Seconds: 1.5, Current: true}
	commit.Begun = time.Date(2026, 11, 22, 4, 0, 0, 0, time.Local)
	for cause, want := range map[string]string{
		"":                 "Ada: web: two",
		"0123456 web: two": "Ada: web: two",
		"what it is":       "what it is",
		"1234567 web: two": "1234567 web: two", // of another commit
	} {
		commit.Cause = cause
		var b bytes.Buffer
		printRevisions(&b, []control.Entry{commit})
		if want := "* 2    01234567  2026-11-22 04:00:00  complete in 1.5s\n       " + want + "\n       web-1\n"; b.String() != want {
			t.Errorf("cause %q:\n%swant:\n%s", cause, b.String(), want)
		}
	}
}
