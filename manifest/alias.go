package manifest

import (
	"bytes"
	"fmt"

	yaml "go.yaml.in/yaml/v3"
)

// checkAliases refuses a document whose aliases, written out, would be larger than an object may be
// ("billion laughs"), before anything expands them. Nil is fine.
func checkAliases(text []byte) *lineProblem {
	if bytes.IndexByte(text, '&') < 0 || bytes.IndexByte(text, '*') < 0 {
		return nil
	}
	var top yaml.Node
	if err := yaml.Unmarshal(text, &top); err != nil {
		p := yamlProblems(err, text)
		return &p[0]
	}
	e := expander{sizes: map[*yaml.Node]int{}}
	if e.size(&top) > maxExpandedBytes {
		return &lineProblem{what: fmt.Sprintf("aliases make the document larger than %d MiB", maxExpandedBytes>>20)}
	}
	return nil
}

// expander measures nodes as if every alias were written out.
type expander struct {
	sizes map[*yaml.Node]int // of nodes that were measured; -1 while one is being measured
}

// size is in bytes and stops growing beyond the limit. A node that holds itself is beyond it.
func (e *expander) size(node *yaml.Node) int {
	if node.Kind == yaml.AliasNode {
		return e.size(node.Alias)
	}
	if n, ok := e.sizes[node]; ok {
		if n < 0 {
			return maxExpandedBytes + 1
		}
		return n
	}
	e.sizes[node] = -1
	n := len(node.Value) + 4
	for _, child := range node.Content {
		if n += e.size(child); n > maxExpandedBytes {
			break
		}
	}
	n = min(n, maxExpandedBytes+1)
	e.sizes[node] = n
	return n
}
