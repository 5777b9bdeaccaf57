package helm

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// maxMessage bounds what an error repeats of a template's text, in bytes.
const maxMessage = 500

var (
	// inTemplate is how the engine names a place: TEMPLATE:LINE, perhaps with a column.
	inTemplate = regexp.MustCompile(`([^\s():"]+/[^\s():"]+):(\d+)(?::\d+)?`)
	errorHead  = regexp.MustCompile(`(?s)^(?:parse error at|execution error at) \([^)]*\): (.*)$`)
)

// explain turns the engine's error, which tells the whole way down, into what is wrong and where. It
// returns the name of the template that could not be rendered, empty if that is not known.
func (b *build) explain(err error) (broken string) {
	text := err.Error()
	type place struct {
		name string
		line int
	}
	var places []place
	for _, m := range inTemplate.FindAllStringSubmatch(text, -1) {
		if t, known := b.templates[m[1]]; known {
			line, _ := strconv.Atoi(m[2])
			if broken == "" {
				broken = m[1]
			}
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
		return ""
	}
	last := places[len(places)-1]
	if first := places[0]; first.name != last.name {
		what += " (used by " + first.name + ":" + strconv.Itoa(first.line) + ")"
	}
	b.mistake(last.name, last.line, "%s", what)
	return broken
}

// maxBroken bounds how many templates of a chart are reported at once.
const maxBroken = 20

// without takes a template that is broken out of a chart, so that the rest can be looked at. It is false
// for one that others may use.
func (b *build) without(c *chart.Chart, name string) bool {
	if t := b.templates[name]; name == "" || strings.HasPrefix(path.Base(name), "_") || strings.Contains(t.text, "define ") || strings.Contains(t.text, "block ") {
		return false
	}
	c.Templates = slices.DeleteFunc(c.Templates, func(t *common.File) bool { return path.Join(c.ChartFullPath(), t.Name) == name })
	for _, sub := range c.Dependencies() {
		b.without(sub, name)
	}
	return true
}
