// Package tree looks into parsed YAML whose lines matter. It never changes what it is given.
package tree

import yaml "go.yaml.in/yaml/v3"

// Field is the value of a key of a mapping, nil if there is none.
func Field(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// Text is the value of a key whose value is a scalar, empty if there is none.
func Text(node *yaml.Node, key string) string {
	if value := Field(node, key); value != nil && value.Kind == yaml.ScalarNode {
		return value.Value
	}
	return ""
}
