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
	names := podNames{map[string]bool{}, map[string]bool{}}
	for _, s := range spec.ImagePullSecrets {
		names.secret(s.Name)
	}
	for i := range spec.InitContainers {
		names.container(spec.InitContainers[i].Env, spec.InitContainers[i].EnvFrom)
	}
	for i := range spec.Containers {
		names.container(spec.Containers[i].Env, spec.Containers[i].EnvFrom)
	}
	for i := range spec.Volumes {
		names.volume(&spec.Volumes[i].VolumeSource)
	}
	return slices.Sorted(maps.Keys(names.configMaps)), slices.Sorted(maps.Keys(names.secrets))
}

// podNames gathers the names of a pod's references.
type podNames struct{ configMaps, secrets map[string]bool }

func (n podNames) configMap(name string) {
	if name != "" {
		n.configMaps[name] = true
	}
}

func (n podNames) secret(name string) {
	if name != "" {
		n.secrets[name] = true
	}
}

func (n podNames) container(env []corev1.EnvVar, from []corev1.EnvFromSource) {
	for _, e := range env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			n.configMap(r.Name)
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			n.secret(r.Name)
		}
	}
	for _, f := range from {
		if f.ConfigMapRef != nil {
			n.configMap(f.ConfigMapRef.Name)
		}
		if f.SecretRef != nil {
			n.secret(f.SecretRef.Name)
		}
	}
}

func (n podNames) volume(v *corev1.VolumeSource) {
	if v.ConfigMap != nil {
		n.configMap(v.ConfigMap.Name)
	}
	if v.Secret != nil {
		n.secret(v.Secret.SecretName)
	}
	if v.Projected == nil {
		return
	}
	for _, s := range v.Projected.Sources {
		if s.ConfigMap != nil {
			n.configMap(s.ConfigMap.Name)
		}
		if s.Secret != nil {
			n.secret(s.Secret.Name)
		}
	}
}
