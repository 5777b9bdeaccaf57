package helm

import (
	"regexp"
	"strconv"
	"strings"
)

// maxMessage bounds what an error repeats of a template's text, in bytes.
const maxMessage = 500

var (
	// inTemplate is how the engine names a place: TEMPLATE:LINE, perhaps with a column.
	inTemplate = regexp.MustCompile(`([^\s():"]+/[^\s():"]+):(\d+)(?::\d+)?`)
	errorHead  = regexp.MustCompile(`(?s)^(?:parse error at|execution error at) \([^)]*\): (.*)$`)
)

// explain turns the engine's error, which tells the whole way down, into what is wrong and where.
func (b *build) explain(err error) {
	text := err.Error()
	type place struct {
		name string
		line int
	}
	var places []place
	for _, m := range inTemplate.FindAllStringSubmatch(text, -1) {
		if t, known := b.templates[m[1]]; known {
			line, _ := strconv.Atoi(m[2])
			if p := (place{t.path, line}); len(places) == 0 || places[len(places)-1] != p {
				places = append(places, p)
			}
		}
	}
	what := text
	if m := errorHead.FindStringSubmatch(text); m != nil {
		what = m[1]
	} else if lines := strings.Split(strings.TrimSpace(text), "\n"); len(lines) > 1 {
		what = lines[len(lines)-1]
	}
	if at := strings.LastIndex(what, ">: "); at >= 0 {
		what = what[at+3:]
	}
	what = strings.TrimPrefix(flat(what), "error calling include: ")
	if len(what) > maxMessage {
		what = strings.ToValidUTF8(what[:maxMessage], "") + " ..."
	}
	if len(places) == 0 {
		b.mistake(b.chartFile, 0, "%s", what)
		return
	}
	last := places[len(places)-1]
	if first := places[0]; first.name != last.name {
		what += " (used by " + first.name + ":" + strconv.Itoa(first.line) + ")"
	}
	b.mistake(last.name, last.line, "%s", what)
}
