package manifest

import (
	"fmt"

	yaml "go.yaml.in/yaml/v3"
)

// repeatedKeys are the keys of a document that stand twice in a mapping. A key that a mapping takes over
// with << and then writes itself is meant, and is what kubectl takes; the other way around YAML and
// kubectl disagree on which of both holds.
func repeatedKeys(text []byte) []lineProblem {
	var top yaml.Node
	if yaml.Unmarshal(text, &top) != nil {
		return []lineProblem{{what: "holds keys that are already set in their map"}}
	}
	var problems []lineProblem
	eachMapping(&top, func(m *yaml.Node) {
		own := map[string]bool{}
		for i := 0; i+1 < len(m.Content); i += 2 {
			key := m.Content[i]
			if key.Tag == mergeTag {
				for _, taken := range takenOver(m.Content[i+1], nil) {
					if own[taken] {
						problems = append(problems, lineProblem{key.Line, fmt.Sprintf("key %q already set in map; write << before it", taken)})
					}
				}
				continue
			}
			if own[key.Value] {
				problems = append(problems, lineProblem{key.Line, fmt.Sprintf("key %q already set in map", key.Value)})
			}
			own[key.Value] = true
		}
	})
	return problems
}

const mergeTag = "!!merge"

// eachMapping calls f for every mapping that is written at or below a node.
func eachMapping(n *yaml.Node, f func(*yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		f(n)
	}
	for _, c := range n.Content {
		eachMapping(c, f)
	}
}

// takenOver adds the keys that << takes out of a mapping, or out of several.
func takenOver(n *yaml.Node, keys []string) []string {
	switch n.Kind {
	case yaml.AliasNode:
		return takenOver(n.Alias, keys)
	case yaml.SequenceNode:
		for _, c := range n.Content {
			keys = takenOver(c, keys)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag == mergeTag {
				keys = takenOver(n.Content[i+1], keys)
			} else {
				keys = append(keys, n.Content[i].Value)
			}
		}
	}
	return keys
}
