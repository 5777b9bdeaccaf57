package kustomize

import (
	"bytes"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"writ/render/tree"
)

// document is one document of a file of the repository, as far as it is needed to find it again.
type document struct {
	line       int
	kind, name string
}

// documentsOf reads a file of resources. What cannot be read is left out.
func (b *build) documentsOf(name string) []document {
	if known, ok := b.documents[name]; ok {
		return known
	}
	var all []document
	data, err := b.files.Read(name)
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); err == nil; {
		var node yaml.Node
		if err = decoder.Decode(&node); err == nil && len(node.Content) > 0 {
			all = append(all, describe(node.Content[0]))
		}
	}
	b.documents[name] = all
	return all
}

func describe(node *yaml.Node) document {
	return document{line: node.Line, kind: tree.Text(node, "kind"), name: tree.Text(tree.Field(node, "metadata"), "name")}
}

// lineOfObject finds the document of an object. Its name in the file may have got a prefix and a suffix
// since; of several that fit, the longest is meant.
func (b *build) lineOfObject(file, kind, name string) int {
	var best document
	all := b.documentsOf(file)
	for _, d := range all {
		if d.kind == kind && strings.Contains(name, d.name) && len(d.name) > len(best.name) {
			best = d
		}
	}
	if best.line == 0 && len(all) == 1 {
		return all[0].line
	}
	return best.line
}

// lineOfName finds the generator of an object in a kustomization.
func (b *build) lineOfName(file, name string) int {
	data, err := b.files.Read(file)
	var node yaml.Node
	if err != nil || yaml.Unmarshal(data, &node) != nil || len(node.Content) == 0 {
		return 0
	}
	best := &yaml.Node{}
	for _, key := range []string{"configMapGenerator", "secretGenerator"} {
		list := tree.Field(node.Content[0], key)
		if list == nil {
			continue
		}
		for _, item := range list.Content {
			if n := tree.Field(item, "name"); n != nil && n.Value != "" && strings.Contains(name, n.Value) && len(n.Value) > len(best.Value) {
				best = n
			}
		}
	}
	return best.Line
}
