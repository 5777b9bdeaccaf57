package sync

import (
	"net/textproto"
	"regexp"
	"strings"
)

var trailerLine = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*)$`)

// parseTrailers reads the last paragraph of a commit message as git-interpret-trailers(1) does in
// its strict form: every line is `Key: value` or the indented continuation of one. The subject is
// never a trailer. Keys are case-insensitive and come out in the form of MIME headers.
func parseTrailers(message string) map[string][]string {
	paragraphs := regexp.MustCompile(`\n[ \t]*\n`).Split(strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n")), -1)
	if len(paragraphs) < 2 {
		return nil
	}
	trailers := map[string][]string{}
	last := ""
	for line := range strings.SplitSeq(strings.Trim(paragraphs[len(paragraphs)-1], "\n"), "\n") {
		if last != "" && (line[:1] == " " || line[:1] == "\t") {
			values := trailers[last]
			values[len(values)-1] += " " + strings.TrimSpace(line)
			continue
		}
		m := trailerLine.FindStringSubmatch(line)
		if m == nil {
			return nil
		}
		last = textproto.CanonicalMIMEHeaderKey(m[1])
		trailers[last] = append(trailers[last], strings.TrimSpace(m[2]))
	}
	return trailers
}
