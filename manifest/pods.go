package manifest

import corev1 "k8s.io/api/core/v1"

// Pods is what an object says of the pods that it makes, or is: their labels, their spec and the spec's
// field path in the object. The spec is nil for objects that make no pods.
func Pods(item Item) (labels map[string]string, spec *corev1.PodSpec, path string) {
	f := podsOf(&parsed{Item: item})
	if f == nil {
		return nil, nil, ""
	}
	return f.labels, f.spec, f.path
}
