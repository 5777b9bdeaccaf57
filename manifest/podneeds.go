package manifest

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// What happens to pods without what they name.
const (
	neverStarts = "the pod could never start"
	neverMade   = "no pod could be made"
)

// index is the path of an element of a list.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// pod adds what a pod names, at a path.
func (n *needs) pod(at string, spec *corev1.PodSpec) {
	if spec.ServiceAccountName != "" {
		n.add(need{ref: ServiceAccountRef(n.namespace, spec.ServiceAccountName), field: at + ".serviceAccountName", why: neverMade})
	}
	if spec.PriorityClassName != "" {
		n.add(need{ref: Ref{Group: "scheduling.k8s.io", Kind: "PriorityClass", Name: spec.PriorityClassName}, field: at + ".priorityClassName", why: neverMade})
	}
	if spec.RuntimeClassName != nil && *spec.RuntimeClassName != "" {
		n.add(need{ref: Ref{Group: "node.k8s.io", Kind: "RuntimeClass", Name: *spec.RuntimeClassName}, field: at + ".runtimeClassName", why: neverMade})
	}
	for i, s := range spec.ImagePullSecrets {
		if s.Name != "" {
			n.add(need{ref: SecretRef(n.namespace, s.Name), field: index(at+".imagePullSecrets", i) + ".name", hint: true, why: "images are pulled without it", pulls: true})
		}
	}
	for i := range spec.Volumes {
		if c := spec.Volumes[i].PersistentVolumeClaim; c != nil {
			n.add(need{ref: ClaimRef(n.namespace, c.ClaimName), field: index(at+".volumes", i) + ".persistentVolumeClaim.claimName", why: neverStarts})
		}
	}
	eachReference(at, spec, n.reads)
}

// reads adds a ConfigMap or Secret that a pod reads unless that is optional.
func (n *needs) reads(r podReference) {
	if r.optional != nil && *r.optional {
		return
	}
	ref := ConfigMapRef(n.namespace, r.name)
	if r.secret {
		ref = SecretRef(n.namespace, r.name)
	}
	n.add(need{ref: ref, field: r.field, key: r.key, why: neverStarts})
}
