package manifest

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// locator finds the line of a field. It parses its document only when it is asked.
type locator struct {
	chunk  chunk
	asked  bool
	parsed *yaml.Node
}

// begin is the line on which the document's content begins.
func (l *locator) begin() int {
	return l.chunk.line + max(firstContent(l.chunk.text), 0)
}

// line is that of the field with the given path (spec.containers[0].image, data[key]), or of the
// nearest enclosing field that is written, or of the document.
func (l *locator) line(path string) int {
	if _, line := l.find(path); line > 0 {
		return l.chunk.line + line - 1
	}
	return l.begin()
}

// node is what is written at a field, nil if it is not written. What lies below a scalar is the scalar.
func (l *locator) node(path string) *yaml.Node {
	node, _ := l.find(path)
	return node
}

// has tells whether the document can be parsed and has a field at its top.
func (l *locator) has(name string) bool {
	_, line := l.find(name)
	return line > 0
}

// find is the node at a path, nil if it is not written, and the line in the document of the last step of
// the path that is, 0 if none is. What lies below a scalar is the scalar.
func (l *locator) find(path string) (node *yaml.Node, line int) {
	node = l.root()
	for node != nil {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		if path = strings.TrimPrefix(path, "."); path == "" || node.Kind == yaml.ScalarNode {
			break
		}
		var at *yaml.Node
		if at, node, path = descend(node, path); at != nil {
			line = at.Line
		}
	}
	return node, line
}

// holds tells whether a scalar at or below a node has a text in it.
func holds(node *yaml.Node, text string) bool {
	if node == nil {
		return false
	}
	return strings.Contains(node.Value, text) || slices.ContainsFunc(node.Content, func(n *yaml.Node) bool { return holds(n, text) })
}

// root is the document's top node, nil if it cannot be parsed.
func (l *locator) root() *yaml.Node {
	if !l.asked {
		l.asked = true
		var top yaml.Node
		text := bytes.ReplaceAll(l.chunk.text, []byte("\t"), []byte(" ")) // JSON indented by tabs
		if err := yaml.Unmarshal(text, &top); err == nil && len(top.Content) == 1 {
			l.parsed = top.Content[0]
		}
	}
	return l.parsed
}

// descend follows the first step of path: where it is written (a mapping's key or a list's element),
// the node below, and what is left of the path. Nil when the step is not there.
func descend(node *yaml.Node, path string) (at, below *yaml.Node, rest string) {
	switch node.Kind {
	case yaml.MappingNode:
		return descendKey(node, path)
	case yaml.SequenceNode:
		inside, rest, _ := strings.Cut(strings.TrimPrefix(path, "["), "]")
		if i, err := strconv.Atoi(inside); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i], rest
		}
	}
	return nil, nil, ""
}

// descendKey takes the longest key that path begins with, since keys may hold dots, and of a key that is
// written twice the last one, which is what was decoded.
func descendKey(node *yaml.Node, path string) (at, below *yaml.Node, rest string) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i].Value
		left, found := cutKey(path, key)
		if found && (at == nil || len(left) <= len(rest)) {
			at, below, rest = node.Content[i], node.Content[i+1], left
		}
	}
	return at, below, rest
}

// cutKey takes a key off the beginning of a path: key or [key], with the next step or nothing behind. An
// empty key is one in brackets only: otherwise nothing would be taken, again and again where an alias leads
// back to its own mapping.
func cutKey(path, key string) (left string, found bool) {
	if inside, bracket := strings.CutPrefix(path, "["); bracket {
		if left, found = strings.CutPrefix(inside, key); found && strings.HasPrefix(left, "]") {
			return left[1:], left == "]" || left[1] == '.' || left[1] == '['
		}
	}
	left, found = strings.CutPrefix(path, key)
	return left, found && key != "" && (left == "" || left[0] == '.' || left[0] == '[')
}
