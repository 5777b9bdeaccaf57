package kustomize

import "sigs.k8s.io/yaml"

// withOrigins is a kustomization that also tells where each resource came from; screen has seen that it
// does not do so by itself.
func withOrigins(data []byte) []byte {
	var fields map[string]any
	if yaml.UnmarshalStrict(data, &fields) != nil {
		return data // kustomize tells what is wrong with it
	}
	if fields == nil {
		return data
	}
	wanted, _ := fields["buildMetadata"].([]any)
	fields["buildMetadata"] = append(wanted, "originAnnotations")
	out, err := yaml.Marshal(fields)
	if err != nil {
		return data
	}
	return out
}
