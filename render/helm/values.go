package helm

import (
	"bytes"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	chartloader "helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"

	"writ/render/tree"
)

// values is what the chart is given beside its own: later files win, and what writ.yaml says wins over
// all of them.
func (b *build) values() map[string]any {
	values := map[string]any{}
	for _, name := range b.job.ValueFiles {
		data, err := b.files.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			b.mistake("", 0, "valueFiles: %s does not exist", name)
			continue
		}
		if err != nil {
			b.mistake("", 0, "valueFiles: %v", err)
			continue
		}
		read, err := chartloader.LoadValues(bytes.NewReader(data))
		if err != nil {
			b.mistakeInYAML(name, err.Error())
			continue
		}
		values = chartloader.MergeMaps(values, read)
	}
	inline := map[string]any{}
	if err := yaml.Unmarshal(b.job.Values, &inline); err != nil { // as files are: numbers are told apart in the same way
		b.mistake("", 0, "values: %v", err)
	}
	return chartloader.MergeMaps(values, inline)
}

// mistakeInYAML reports what a parser says about a file.
func (l *loader) mistakeInYAML(name, text string) {
	line, text := tree.Problem(text)
	for _, prefix := range []string{"cannot unmarshal yaml document: ", "error converting YAML to JSON: ", "error unmarshaling JSON: ", "while decoding JSON: ", "json: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	l.mistake(name, line, "%s", flat(text))
}

// flat is a library's message on one line.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

var (
	schemaHead = regexp.MustCompile(`(?s)^values don't meet the specifications of the schema\(s\) in the following chart\(s\):\n`)
	schemaLoad = regexp.MustCompile(`failing loading "([^"]+)"`)
)

// schemaMistake says which values do not fit a values.schema.json.
func schemaMistake(err error) string {
	text := schemaHead.ReplaceAllString(err.Error(), "")
	if text == err.Error() {
		return flat(text)
	}
	if m := schemaLoad.FindStringSubmatch(text); m != nil {
		return "values.schema.json refers to " + m[1] + ", which is not fetched; put what it needs into the schema itself"
	}
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return "values do not fit values.schema.json of chart " + strings.Join(lines, " ")
}
