package kustomize

import (
	"bytes"

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
