package fetch

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"writ/render"
)

// maxParsed bounds how much of an index is parsed, in bytes: parsing takes about a hundred times as
// much memory, and large repositories have an index of tens of megabytes.
const maxParsed = 2 << 20

// entry is one version of a chart in an index.
type entry struct {
	Version string   `json:"version"`
	URLs    []string `json:"urls"`
	Digest  string   `json:"digest"`
}

// find looks for a version of a chart in an index. Of one that is written as Helm writes it only the
// chart's own part is parsed.
func find(index []byte, chart, version string) (entry, error) {
	versions, known, err := versionsOf(index, chart)
	if err != nil {
		return entry{}, err
	}
	if !known {
		return entry{}, fmt.Errorf("%w: index.yaml has no chart %q", render.ErrRefused, chart)
	}
	for _, e := range versions {
		if strings.TrimPrefix(e.Version, "v") == strings.TrimPrefix(version, "v") {
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("%w: index.yaml has no version %s, only %s", render.ErrRefused, version, some(versions))
}

// some names the first few versions.
func some(versions []entry) string {
	const most = 5
	var names []string
	for _, e := range versions[:min(len(versions), most)] {
		names = append(names, e.Version)
	}
	if len(versions) > most {
		names = append(names, fmt.Sprintf("%d more", len(versions)-most))
	}
	return strings.Join(names, ", ")
}

func versionsOf(index []byte, chart string) (versions []entry, known bool, err error) {
	part := section(index, chart)
	if part == nil && len(index) <= maxParsed {
		var all struct {
			Entries map[string][]entry `json:"entries"`
		}
		if err := yaml.Unmarshal(index, &all); err != nil {
			return nil, false, fmt.Errorf("%w: index.yaml: %v", render.ErrRefused, err)
		}
		versions, known = all.Entries[chart]
		return versions, known, nil
	}
	for _, item := range items(part) {
		if len(item) > maxParsed {
			return nil, true, fmt.Errorf("%w: index.yaml: a version of chart %q is described in more than %d MiB", render.ErrRefused, chart, maxParsed>>20)
		}
		var one []entry
		if err := yaml.Unmarshal(item, &one); err != nil {
			return nil, true, fmt.Errorf("%w: index.yaml: chart %q: %v", render.ErrRefused, chart, err)
		}
		versions = append(versions, one...)
	}
	return versions, part != nil, nil
}

// section is the lines of an index that Helm wrote which are about one chart, nil if there are none.
func section(index []byte, chart string) []byte {
	_, index, found := bytes.Cut(append([]byte("\n"), index...), []byte("\nentries:\n"))
	if !found {
		return nil
	}
	head := regexp.MustCompile(`(?m)^  ["']?` + regexp.QuoteMeta(chart) + `["']?:[ \t]*\n`).FindIndex(index)
	if head == nil {
		return nil
	}
	part := index[head[1]:]
	if end := nextKey.FindIndex(part); end != nil {
		part = part[:end[0]]
	}
	return part
}

var (
	nextKey  = regexp.MustCompile(`(?m)^ {0,2}[^\s#-]`)
	nextItem = regexp.MustCompile(`(?m)^ {2,4}- `)
)

// items are the elements of a list at its own indentation.
func items(part []byte) (all [][]byte) {
	var first []byte // the indentation
	begin := -1
	for _, at := range nextItem.FindAllIndex(part, -1) {
		indent := part[at[0] : at[1]-2]
		if first == nil {
			first = indent
		}
		if !bytes.Equal(indent, first) {
			continue
		}
		if begin >= 0 {
			all = append(all, part[begin:at[0]])
		}
		begin = at[0]
	}
	if begin >= 0 {
		all = append(all, part[begin:])
	}
	return all
}
