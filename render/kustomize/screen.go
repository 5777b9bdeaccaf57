package kustomize

import (
	"fmt"
	"path"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"writ/render/tree"
	"writ/render/wire"
)

// references are the fields of a kustomization whose strings name files or folders.
var references = map[string]bool{
	"resources": true, "bases": true, "components": true, "crds": true, "configurations": true, "generators": true,
	"transformers": true, "validators": true, "patches": true, "patchesStrategicMerge": true, "patchesJson6902": true,
	"replacements": true, "configMapGenerator": true, "secretGenerator": true, "openapi": true,
}

// withPath are those of them that have the name in a field of their items.
var withPath = map[string][]string{
	"patches": {"path"}, "patchesJson6902": {"path"}, "replacements": {"path"}, "openapi": {"path"},
	"configMapGenerator": {"files", "envs", "env"}, "secretGenerator": {"files", "envs", "env"},
}

// refusedFields would run a program.
var refusedFields = map[string]string{
	"helmCharts":                  "runs the helm program; name the chart in spec.charts of writ.yaml",
	"helmChartInflationGenerator": "runs the helm program; name the chart in spec.charts of writ.yaml",
	"helmGlobals":                 "is for running the helm program; name charts in spec.charts of writ.yaml",
}

// screen looks through a kustomization file for what is refused, once.
func (b *build) screen(name string, data []byte) {
	if b.screened[name] {
		return
	}
	b.screened[name] = true
	var root yaml.Node
	if yaml.Unmarshal(data, &root) != nil || len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return // kustomize says it better
	}
	fields := root.Content[0].Content
	for i := 0; i+1 < len(fields); i += 2 {
		key, value := fields[i], fields[i+1]
		switch {
		case refusedFields[key.Value] != "":
			b.mistake(name, key.Line, "%s %s", key.Value, refusedFields[key.Value])
		case key.Value == "buildMetadata" && path.Dir(name) == b.folder:
			b.keep = b.keep || slices.ContainsFunc(value.Content, func(n *yaml.Node) bool { return n.Value == "originAnnotations" })
		case references[key.Value]:
			b.screenField(name, key.Value, value)
			b.gather(name, key.Value, value)
		}
	}
}

func (b *build) mistake(name string, line int, format string, args ...any) {
	b.mistakes = append(b.mistakes, wire.Note{Path: name, Line: line, What: fmt.Sprintf(format, args...)})
}

func (b *build) screenField(name, key string, value *yaml.Node) {
	items := value.Content
	if value.Kind != yaml.SequenceNode {
		items = []*yaml.Node{value}
	}
	for _, item := range items {
		if keys := withPath[key]; keys != nil {
			for _, k := range keys {
				b.screenPaths(name, key, tree.Field(item, k))
			}
			continue
		}
		b.screenPaths(name, key, item)
		b.screenPlugin(name, key, item)
	}
}

// screenPaths looks at a path, or a list of them. In files of generators a path may follow a key.
func (b *build) screenPaths(name, key string, node *yaml.Node) {
	switch {
	case node == nil:
	case node.Kind == yaml.SequenceNode:
		for _, item := range node.Content {
			b.screenPaths(name, key, item)
		}
	case node.Kind == yaml.ScalarNode && !strings.Contains(node.Value, "\n"):
		b.screenPath(name, key, node)
	}
}

func (b *build) screenPath(name, key string, node *yaml.Node) {
	target := node.Value
	if _, after, found := strings.Cut(target, "="); found && !strings.Contains(target, "?") {
		target = after
	}
	switch _, ok := inside(path.Dir(name), target); {
	case isRemote(target):
		b.screenRemote(name, key, node)
	case path.IsAbs(target):
		b.mistake(name, node.Line, "%s is an absolute path; only files of the repository are read", node.Value)
	case !ok:
		repository := strings.TrimPrefix(wire.BaseRoot(name), "/")
		if repository == "" {
			repository = "the repository"
		}
		b.mistake(name, node.Line, "%s leads out of %s", node.Value, repository)
	}
}

// isRemote tells what kustomize would fetch.
func isRemote(name string) bool {
	host, _, _ := strings.Cut(name, "/")
	return strings.Contains(name, "://") || strings.HasPrefix(name, "git@") || strings.HasPrefix(name, "git::") ||
		strings.Contains(name, "?ref=") || strings.HasSuffix(name, ".git") ||
		slices.Contains([]string{"github.com", "gitlab.com", "bitbucket.org"}, host)
}

// screenPlugin finds generators and transformers that would run a program or a container.
func (b *build) screenPlugin(name, key string, item *yaml.Node) {
	if item.Kind != yaml.ScalarNode || !slices.Contains([]string{"generators", "transformers", "validators"}, key) {
		return
	}
	text, where, offset := item.Value, name, item.Line
	if !strings.Contains(text, "\n") {
		target, ok := inside(path.Dir(name), text)
		data, err := b.files.Read(target)
		if !ok || err != nil {
			return // a folder is screened when it is read; kustomize tells what is missing
		}
		text, where, offset = string(data), target, 0
	}
	var root yaml.Node
	if yaml.Unmarshal([]byte(text), &root) != nil || len(root.Content) == 0 {
		return
	}
	annotations := tree.Field(tree.Field(root.Content[0], "metadata"), "annotations")
	for _, annotation := range []string{"config.kubernetes.io/function", "config.k8s.io/function"} {
		if function := tree.Field(annotations, annotation); function != nil {
			b.mistake(where, offset+function.Line, "functions that run a program or a container are refused: a commit must not run code on the node")
		}
	}
}
