package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// width is what text for people keeps to, where words allow it.
const width = 80

// painted is text that may hold colours. All other text is shown as it is written in commits, manifests
// and messages of containers, which must not steer the terminal that shows it.
type painted string

// printf prints like fmt.Fprintf, but nothing in its arguments steers a terminal. Errors are those of a
// terminal or pipe that has gone; nobody is left to be told.
func printf(out io.Writer, format string, args ...any) {
	for i, a := range args {
		switch a := a.(type) {
		case painted:
		case string:
			args[i] = printable(a)
		case fmt.Stringer:
			args[i] = printable(a.String())
		case error:
			args[i] = printable(a.Error())
		}
	}
	fmt.Fprintf(out, format, args...)
}

// printable shows control characters and changes of the writing direction as escapes, on one line.
func printable(s string) string {
	if strings.IndexFunc(s, steers) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // a byte that is no UTF-8 becomes the replacement character
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case steers(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case steers(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// steers says that a character is an order to the terminal and not text.
func steers(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

func short(hash string) string { return clip(hash, 8) }

// clip shortens text to n characters.
func clip(s string, n int) string {
	r := []rune(printable(s))
	if len(r) <= n {
		return string(r)
	}
	if n <= 8 {
		return string(r[:max(0, n)])
	}
	return string(r[:n-3]) + "..."
}

// wrap breaks text at spaces into lines where words allow it, the first of at most n characters, all
// others of at most rest.
func wrap(text string, n, rest int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(printable(text)) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > n {
			lines = append(lines, line)
			line, n = "", rest
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// paragraph prints text broken into lines; the first begins otherwise than the others.
func paragraph(out io.Writer, first, more, text string, paint func(string) painted) {
	begin := first
	for _, line := range wrap(text, width-len(first), width-len(more)) {
		printf(out, "%s%s\n", begin, paint(line))
		begin = more
	}
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

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// are is a list of names with the verb that goes with it.
func are(names []string) string {
	list := strings.Join(names, ", ")
	if len(names) == 1 {
		return list + " is"
	}
	return list + " are"
}
