package helm

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	yaml "go.yaml.in/yaml/v3"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"

	"writ/render/tree"
)

// object is one document that a template rendered.
type object struct {
	text string
	path string // of the template
	line int    // in the template, 0 if it cannot be told
	node *yaml.Node

	group, kind, namespace, name string
	hook                         *hook
}

// objects takes what was rendered apart, in the order of the templates' names.
func (b *build) objects(texts map[string]string) []object {
	var all []object
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if strings.HasPrefix(name[strings.LastIndex(name, "/")+1:], "_") {
			continue
		}
		made := b.documentsOf(name, texts[name])
		b.findLines(name, made)
		all = append(all, made...)
	}
	return all
}

// documentsOf reads what one template rendered.
func (b *build) documentsOf(name, text string) []object {
	parts := releaseutil.SplitManifests(text)
	keys := slices.Sorted(maps.Keys(parts))
	sort.Sort(releaseutil.BySplitManifestsOrder(keys))
	var made []object
	for _, key := range keys {
		if o, ok := b.object(b.templates[name].path, parts[key]); ok {
			made = append(made, o)
		}
	}
	return made
}

// object reads one document; ok is false if it holds nothing, and after a mistake.
func (b *build) object(at, text string) (o object, ok bool) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		line, what := tree.Problem(flat(err.Error()))
		if line > 0 {
			what = fmt.Sprintf("renders YAML that cannot be read, in line %d of a document: %s", line, what)
		}
		b.mistake(at, 0, "%s", what)
		return o, false
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return o, false
	}
	o = object{text: text, path: at, node: &root}
	top := root.Content[0]
	version := tree.Text(top, "apiVersion")
	if group, _, found := strings.Cut(version, "/"); found {
		o.group = group
	}
	meta := tree.Field(top, "metadata")
	o.kind, o.name, o.namespace = tree.Text(top, "kind"), tree.Text(meta, "name"), tree.Text(meta, "namespace")
	if o.namespace == "" {
		o.namespace = b.job.Namespace
	}
	o.hook = hookOf(tree.Field(meta, "annotations"))
	return o, true
}

// beginning is a line that only the beginning of an object has, outside of what is indented.
var beginning = regexp.MustCompile(`(?m)^(apiVersion|kind):\s*["']?([^\s"'#]*)`)

// findLines tells for the objects of a template on which of its lines each begins, where the template
// has as many objects of the kind as came out of it, or only one.
func (b *build) findLines(name string, made []object) {
	begins := make(map[string][]int)
	version := 0 // the line of an apiVersion whose kind follows
	for i, line := range strings.Split(b.templates[name].text, "\n") {
		m := beginning.FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[1] == "apiVersion":
			version = i + 1
		case version > 0:
			begins[m[2]] = append(begins[m[2]], version)
			version = 0
		default:
			begins[m[2]] = append(begins[m[2]], i+1)
		}
		if strings.HasPrefix(line, "---") {
			version = 0
		}
	}
	seen := make(map[string]int)
	for i := range made {
		lines, count := begins[made[i].kind], 0
		for j := range made {
			if made[j].kind == made[i].kind {
				count++
			}
		}
		switch {
		case len(lines) == 1:
			made[i].line = lines[0]
		case len(lines) == count:
			made[i].line = lines[seen[made[i].kind]]
		}
		seen[made[i].kind]++
	}
}
