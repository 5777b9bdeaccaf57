package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"writ/api/control"
	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// evil is what a commit or a container may say: it clears the screen, sets the title, goes up a line,
// turns the writing direction around, and is no UTF-8.
const evil = "\x1b[2J\x1b]0;pwned\x07 up\x1b[A\rover \u009b2K \u202eback\nnext \xff\x7f " + long

const long = "words upon words upon words upon words upon words upon words upon words upon words"

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain Zürich 東京":    "plain Zürich 東京",
		"a\x1b[31mb":         `a\x1b[31mb`,
		"a\r\x7f\u009b":      `a\x0d\x7f\x9b`,
		"a\u202eb\u2066c":    `a\u202eb\u2066c`,
		"two\nlines\tand on": "two lines and on",
		"no \xff\xfe text":   "no \ufffd\ufffd text",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Nothing that a commit, a manifest or a container says steers the terminal or makes lines too long.
func TestPrint_OfHostileText(t *testing.T) {
	s := held()
	s.Source.URL, s.Node = "https://git.example/"+strings.Repeat("x", 30)+evil, "n1"
	s.Adopted.Subject, s.Adopted.Author, s.Newest.Subject = evil, evil, evil
	s.Stages.Verified.Reason, s.Deletes, s.Allow = evil, []string{"ConfigMap/a"}, "Allow-Delete: ConfigMap/a"
	s.Held, s.Mistakes, s.Warnings = evil, []string{"a.yaml:1: " + evil}, []string{evil}
	s.Troubles = []control.Trouble{{Component: "sync", What: evil, Since: now()}}
	s.Objects = []control.Object{{Kind: "Deployment", Namespace: "shop", Name: strings.Repeat("n", 70), Health: control.Degraded, Ready: "10/10 ready", Reason: evil, Path: "p\x1bq.yaml", Line: 1}}
	event := state.Event{Ref: manifest.PodRef("shop", "web"), Type: "Warning", Reason: "Evil\x1b", Message: evil, Count: 3}
	told, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	entries := []control.Entry{{Commit: "0123456789", Subject: evil, Author: evil, Revision: 12, Name: "web-0123456789", Cause: evil, Reason: evil, Stages: &control.Stages{}}}
	leaves := []control.Leaf{{Kind: "Pod", Namespace: "shop", Name: "web", State: evil, Below: []control.Leaf{{Kind: "container", Name: "c\x1b", State: evil}}}}
	rollout := control.Rollout{Kind: "Deployment", Namespace: "shop", Name: "web", Subject: evil, Author: evil, Rolling: reconcile.Rolling{Waits: evil, Rollout: reconcile.Rollout{Commit: "0123456789"}}}
	for name, print := range map[string]func(*bytes.Buffer){
		"status":    func(b *bytes.Buffer) { printStatus(b, &s, view{}) },
		"history":   func(b *bytes.Buffer) { printCommits(b, entries, view{}) },
		"revisions": func(b *bytes.Buffer) { printRevisions(b, entries) },
		"rollout": func(b *bytes.Buffer) {
			printRolloutHead(b, &rollout, true)
			printStep(b, &rollout)
		},
		"tree": func(b *bytes.Buffer) { printLeaves(b, leaves, true, "") },
		"events": func(b *bytes.Buffer) {
			if err := printEvents(b, bytes.NewReader(told), false, true); err != nil {
				t.Error(err)
			}
		},
	} {
		var b bytes.Buffer
		print(&b)
		if !strings.Contains(b.String(), `\x1b`) {
			t.Errorf("%s shows nothing of it:\n%s", name, b.String())
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if line != printable(line) {
				t.Errorf("%s: a line steers the terminal: %q", name, line)
			}
			if utf8.RuneCountInString(line) > width {
				t.Errorf("%s: longer than %d columns: %s", name, width, line)
			}
		}
	}
	var b bytes.Buffer
	printStatus(&b, &s, view{colour: true})
	for _, c := range []string{red, yellow, faint, plain} {
		if !strings.Contains(b.String(), c) {
			t.Errorf("the colour %q is missing", c)
		}
	}
	without := strings.NewReplacer(red, "", yellow, "", green, "", faint, "", plain, "").Replace(b.String())
	if strings.Contains(without, "\x1b") {
		t.Errorf("colours let other orders through: %q", without)
	}
	b.Reset()
	if err := printEvents(&b, bytes.NewReader(told), false, false); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("an event for a pipe: %v, %q, want one line", err, b.String())
	}
}

func TestHarmless(t *testing.T) {
	const in = "plain \x1b[1;31mred\x1b[0m\ttab Zürich £\n\x1b[2Jclear \x1b]0;title\x07 up\x1b[A \x1b[31 x bell\x07 over\rit \u009b2K\x7f crlf\r\nend \x1b["
	const want = "plain \x1b[1;31mred\x1b[0m\ttab Zürich £\n^[[2Jclear ^[]0;title^G up^[[A ^[[31 x bell^G over^Mit \\x9b2K^? crlf\nend "
	for _, step := range []int{1, 2, 3, 7, len(in)} { // orders may be split anywhere
		var b bytes.Buffer
		h := &harmless{out: &b}
		for rest := in; rest != ""; {
			n, err := h.Write([]byte(rest[:min(step, len(rest))]))
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if b.String() != want {
			t.Errorf("in steps of %d: got %q\nwant %q", step, b.String(), want)
		}
	}
}

func TestTerminal_IsNoOtherDevice(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if terminal(null) || terminal(&bytes.Buffer{}) {
		t.Error("/dev/null or a buffer is taken for a terminal")
	}
}
