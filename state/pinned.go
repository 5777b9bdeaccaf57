package state

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

// PinnedConfigAnnotation says of a pod, and of what holds the template of pods, which copies of ConfigMaps and Secrets
// are read in place of those that its spec names: "configmap/NAME=COPY,secret/NAME=COPY", sorted. An empty copy says
// that there was no such object. The copies are derived and never change, so that a pod is given the same content for
// as long as it lives.
const PinnedConfigAnnotation = "writ.dev/pinned-config"

// PinnedLabel is on every copy; its value is the name of what it is a copy of, cut to what a label holds.
const PinnedLabel = "writ.dev/pinned"

// Pins are the copies that are read in place of ConfigMaps and Secrets, by what they are copies of, whose namespace
// is left out. An empty name is an object that is not there.
type Pins map[manifest.Ref]string

// PinsOf reads the pins in the annotations of a pod or a template; nil if there are none. What is malformed is left out.
func PinsOf(annotations map[string]string) Pins {
	text := annotations[PinnedConfigAnnotation]
	if text == "" {
		return nil
	}
	pins := Pins{}
	for entry := range strings.SplitSeq(text, ",") {
		what, copied, ok := strings.Cut(entry, "=")
		kind, name, named := strings.Cut(what, "/")
		if !ok || !named || name == "" {
			continue
		}
		switch kind {
		case "configmap":
			pins[manifest.ConfigMapRef("", name)] = copied
		case "secret":
			pins[manifest.SecretRef("", name)] = copied
		}
	}
	return pins
}

// String is the value of the annotation.
func (p Pins) String() string {
	entries := make([]string, 0, len(p))
	for _, ref := range slices.SortedFunc(maps.Keys(p), manifest.Ref.Compare) {
		entries = append(entries, strings.ToLower(ref.Kind)+"/"+ref.Name+"="+p[ref])
	}
	return strings.Join(entries, ",")
}

// Copies are the objects that are read, in a namespace, sorted.
func (p Pins) Copies(namespace string) []manifest.Ref {
	var refs []manifest.Ref
	for of, name := range p {
		if name != "" {
			refs = append(refs, manifest.Ref{Kind: of.Kind, Namespace: namespace, Name: name})
		}
	}
	slices.SortFunc(refs, manifest.Ref.Compare)
	return refs
}

// PinnedCopy says that a record is a copy which pods are given in place of what it is a copy of.
func PinnedCopy(r *Record) bool {
	return r != nil && r.Origin == Derived && r.Object.GetLabels()[PinnedLabel] != ""
}

// ConfigMapFor is what a Pod of the node reads as a ConfigMap: the copy that it is pinned to, else the
// object itself; nil if there is none.
func (v View) ConfigMapFor(pod *corev1.Pod, name string) *corev1.ConfigMap {
	r := v.read(pod, manifest.ConfigMapRef(pod.Namespace, name))
	if r == nil {
		return nil
	}
	cm, _ := r.Object.(*corev1.ConfigMap)
	return cm
}

// SecretFor is what a Pod of the node reads as a Secret, as ConfigMapFor.
func (v View) SecretFor(pod *corev1.Pod, name string) *corev1.Secret {
	r := v.read(pod, manifest.SecretRef(pod.Namespace, name))
	if r == nil {
		return nil
	}
	s, _ := r.Object.(*corev1.Secret)
	return s
}

func (v View) read(pod *corev1.Pod, ref manifest.Ref) *Record {
	copied, pinned := PinsOf(pod.Annotations)[manifest.Ref{Kind: ref.Kind, Name: ref.Name}]
	if !pinned {
		return v.referred(ref)
	}
	ref.Name = copied
	if r := v.referred(ref); copied != "" && PinnedCopy(r) {
		return r
	}
	return nil
}
