package kustomize

import "sigs.k8s.io/yaml"

// withOrigins is a kustomization that also tells where each resource came from.
func withOrigins(data []byte) []byte {
	var fields map[string]any
	if yaml.UnmarshalStrict(data, &fields) != nil {
		return data // kustomize tells what is wrong with it
	}
	wanted, _ := fields["buildMetadata"].([]any)
	for _, w := range wanted {
		if w == "originAnnotations" {
			return data
		}
	}
	if fields == nil {
		return data
	}
	fields["buildMetadata"] = append(wanted, "originAnnotations")
	out, err := yaml.Marshal(fields)
	if err != nil {
		return data
	}
	return out
}
