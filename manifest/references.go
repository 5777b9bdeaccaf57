package manifest

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Template is the pod template of an owner (Deployment, ReplicaSet, Job ...), inside obj, not to be
// modified; nil for everything that makes no pods.
func Template(obj Object) *corev1.PodTemplateSpec {
	k := kindOf(obj)
	if k == nil || k.template == nil {
		return nil
	}
	return k.template(obj)
}

// Selector matches the labels of the pods that an object is about: those of an owner, of a Service, a
// PodDisruptionBudget or a NetworkPolicy. An object without a selector matches nothing.
func Selector(obj Object) labels.Selector {
	k := kindOf(obj)
	if k == nil || k.selector == nil {
		return labels.Nothing()
	}
	return k.selector(obj)
}

// kindOf finds the kind of an object by its Go type, since apiVersion and kind may be empty.
func kindOf(obj Object) *kind {
	if gvk := obj.GetObjectKind().GroupVersionKind(); gvk.Kind != "" {
		return kinds[gvk.GroupKind()]
	}
	ref, ok := refOf(obj)
	if !ok {
		return nil
	}
	return kinds[ref.GroupKind()]
}

// labelSelector makes a selector, matching nothing when it is absent or malformed.
func labelSelector(s *metav1.LabelSelector) labels.Selector {
	made, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return made
}

// mapSelector makes a selector of equalities; an empty one matches nothing, as upstream has it for
// Services and ReplicationControllers.
func mapSelector(m map[string]string) labels.Selector {
	if len(m) == 0 {
		return labels.Nothing()
	}
	return labels.SelectorFromSet(m)
}

// PodReferences lists the names of the ConfigMaps and Secrets of the pod's own namespace that it
// reads (env, envFrom, volumes with projected ones, imagePullSecrets), sorted and each once.
func PodReferences(spec *corev1.PodSpec) (configMaps, secrets []string) {
	ofMaps, ofSecrets := map[string]bool{}, map[string]bool{}
	for _, s := range spec.ImagePullSecrets {
		if s.Name != "" {
			ofSecrets[s.Name] = true
		}
	}
	eachReference("", spec, func(r podReference) {
		if r.secret {
			ofSecrets[r.name] = true
		} else {
			ofMaps[r.name] = true
		}
	})
	return slices.Sorted(maps.Keys(ofMaps)), slices.Sorted(maps.Keys(ofSecrets))
}

// podReference is a ConfigMap, or a Secret, that a container or a volume of a pod reads.
type podReference struct {
	secret   bool
	name     string
	key      string // empty for all of its data
	optional *bool
	field    string
}

// eachReference calls f with all that the containers and volumes of a pod read. at is the path of spec.
func eachReference(at string, spec *corev1.PodSpec, f func(podReference)) {
	named := func(r podReference) {
		if r.name != "" {
			f(r)
		}
	}
	eachContainer(at, spec, func(at string, c *corev1.Container) { containerReferences(at, c, named) })
	for i := range spec.Volumes {
		volumeReferences(index(at+".volumes", i), &spec.Volumes[i].VolumeSource, named)
	}
}

func containerReferences(at string, c *corev1.Container, f func(podReference)) {
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		field := index(at+".env", i) + ".valueFrom."
		if r := from.ConfigMapKeyRef; r != nil {
			f(podReference{false, r.Name, r.Key, r.Optional, field + "configMapKeyRef"})
		}
		if r := from.SecretKeyRef; r != nil {
			f(podReference{true, r.Name, r.Key, r.Optional, field + "secretKeyRef"})
		}
	}
	for i := range c.EnvFrom {
		field := index(at+".envFrom", i)
		if r := c.EnvFrom[i].ConfigMapRef; r != nil {
			f(podReference{false, r.Name, "", r.Optional, field + ".configMapRef"})
		}
		if r := c.EnvFrom[i].SecretRef; r != nil {
			f(podReference{true, r.Name, "", r.Optional, field + ".secretRef"})
		}
	}
}

func volumeReferences(at string, v *corev1.VolumeSource, f func(podReference)) {
	if s := v.ConfigMap; s != nil {
		fileReferences(podReference{false, s.Name, "", s.Optional, at + ".configMap"}, s.Items, f)
	}
	if s := v.Secret; s != nil {
		fileReferences(podReference{true, s.SecretName, "", s.Optional, at + ".secret"}, s.Items, f)
	}
	if v.Projected == nil {
		return
	}
	for i := range v.Projected.Sources {
		field := index(at+".projected.sources", i)
		if s := v.Projected.Sources[i].ConfigMap; s != nil {
			fileReferences(podReference{false, s.Name, "", s.Optional, field + ".configMap"}, s.Items, f)
		}
		if s := v.Projected.Sources[i].Secret; s != nil {
			fileReferences(podReference{true, s.Name, "", s.Optional, field + ".secret"}, s.Items, f)
		}
	}
}

// fileReferences calls f with what a volume shows as files: the whole object, or some of its keys.
func fileReferences(whole podReference, items []corev1.KeyToPath, f func(podReference)) {
	if len(items) == 0 {
		f(whole)
	}
	for i, item := range items {
		one := whole
		one.key, one.field = item.Key, index(whole.field+".items", i)
		f(one)
	}
}
