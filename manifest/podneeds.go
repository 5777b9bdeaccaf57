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
			n.add(need{ref: SecretRef(n.namespace, s.Name), field: index(at+".imagePullSecrets", i) + ".name", hint: true, why: "images are pulled without it"})
		}
	}
	for i := range spec.InitContainers {
		n.container(index(at+".initContainers", i), &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		n.container(index(at+".containers", i), &spec.Containers[i])
	}
	for i := range spec.Volumes {
		n.volume(index(at+".volumes", i), &spec.Volumes[i].VolumeSource)
	}
}

// reads adds a ConfigMap or Secret that a pod reads unless that is optional.
func (n *needs) reads(ref Ref, field, key string, optional *bool) {
	if ref.Name != "" && (optional == nil || !*optional) {
		n.add(need{ref: ref, field: field, key: key, why: neverStarts})
	}
}

func (n *needs) container(at string, c *corev1.Container) {
	n.image(at, c)
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		field := index(at+".env", i) + ".valueFrom."
		if r := from.ConfigMapKeyRef; r != nil {
			n.reads(ConfigMapRef(n.namespace, r.Name), field+"configMapKeyRef", r.Key, r.Optional)
		}
		if r := from.SecretKeyRef; r != nil {
			n.reads(SecretRef(n.namespace, r.Name), field+"secretKeyRef", r.Key, r.Optional)
		}
	}
	for i := range c.EnvFrom {
		field := index(at+".envFrom", i)
		if r := c.EnvFrom[i].ConfigMapRef; r != nil {
			n.reads(ConfigMapRef(n.namespace, r.Name), field+".configMapRef", "", r.Optional)
		}
		if r := c.EnvFrom[i].SecretRef; r != nil {
			n.reads(SecretRef(n.namespace, r.Name), field+".secretRef", "", r.Optional)
		}
	}
}

func (n *needs) volume(at string, v *corev1.VolumeSource) {
	if s := v.ConfigMap; s != nil {
		n.files(ConfigMapRef(n.namespace, s.Name), at+".configMap", s.Items, s.Optional)
	}
	if s := v.Secret; s != nil {
		n.files(SecretRef(n.namespace, s.SecretName), at+".secret", s.Items, s.Optional)
	}
	if s := v.PersistentVolumeClaim; s != nil {
		ref := Ref{Kind: "PersistentVolumeClaim", Namespace: n.namespace, Name: s.ClaimName}
		n.add(need{ref: ref, field: at + ".persistentVolumeClaim.claimName", why: neverStarts})
	}
	if v.Projected == nil {
		return
	}
	for i := range v.Projected.Sources {
		field := index(at+".projected.sources", i)
		if s := v.Projected.Sources[i].ConfigMap; s != nil {
			n.files(ConfigMapRef(n.namespace, s.Name), field+".configMap", s.Items, s.Optional)
		}
		if s := v.Projected.Sources[i].Secret; s != nil {
			n.files(SecretRef(n.namespace, s.Name), field+".secret", s.Items, s.Optional)
		}
	}
}

// files adds what a volume shows as files: the whole object, or some of its keys.
func (n *needs) files(ref Ref, at string, items []corev1.KeyToPath, optional *bool) {
	if len(items) == 0 {
		n.reads(ref, at, "", optional)
	}
	for i, item := range items {
		n.reads(ref, index(at+".items", i), item.Key, optional)
	}
}
