package manifest

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// need is another object that an object names, and a key in it where one is named. Without a Ref it is
// about the object alone (flaws.go).
type need struct {
	ref   Ref
	field string
	key   string // of a ConfigMap's or Secret's data
	hint  bool   // it works without, at least in part
	why   string // what happens without it
	// pulls says that a Secret has to be one of registries.
	pulls bool
}

// missing reports objects that are named and declared nowhere.
func (w *whole) missing() {
	for _, p := range w.objects {
		for i := range p.needs {
			w.need(p, &p.needs[i])
		}
	}
}

func (w *whole) need(p *parsed, n *need) {
	if n.ref == (Ref{}) {
		w.say(p, n.field, n.why, n.hint)
		return
	}
	found := w.byRef[n.ref]
	if found != nil {
		if n.key != "" {
			w.needKey(p, n, found)
		}
		if n.pulls {
			w.needPullSecret(p, n, found)
		}
		return
	}
	if w.unread || w.broken[n.ref] || isThere(n.ref) || w.comesWith(n.ref) {
		return
	}
	what := fmt.Sprintf("%s is not declared in this commit", n.ref)
	if n.why != "" {
		what += ": " + n.why
	}
	made := w.custom[n.ref.Namespace] && (n.ref.Kind == "Secret" || n.ref.Kind == "ConfigMap" || n.ref.Kind == "Service")
	w.say(p, n.field, what, n.hint || made || !IsKnown(n.ref.GroupKind()))
}

// say notes a warning or a mistake at a field.
func (w *whole) say(p *parsed, field, what string, hint bool) {
	if hint {
		w.hint(p, field, what)
	} else {
		w.about(p, field, what)
	}
}

// needKey reports a key that a ConfigMap or Secret does not have. One without any key is meant to be
// filled by something in the cluster.
func (w *whole) needKey(p *parsed, n *need, in *parsed) {
	has, filled := hasKey(in.Object, n.key)
	what := fmt.Sprintf("%s in %s has no key %q: %s", n.ref, in.Source, n.key, n.why)
	switch {
	case has:
	case filled:
		w.about(p, n.field, what)
	default:
		w.hint(p, n.field, what)
	}
}

func hasKey(obj Object, key string) (has, filled bool) {
	switch o := obj.(type) {
	case *corev1.ConfigMap:
		_, text := o.Data[key]
		_, binary := o.BinaryData[key]
		return text || binary, len(o.Data)+len(o.BinaryData) > 0
	case *corev1.Secret:
		_, has = o.Data[key]
		return has || o.Type == corev1.SecretTypeServiceAccountToken, len(o.Data) > 0
	}
	return true, true
}

// isThere tells whether an object is there without being declared.
func isThere(ref Ref) bool {
	switch ref.Kind {
	case "ServiceAccount":
		return ref.Name == "default"
	case "ConfigMap":
		return ref.Name == "kube-root-ca.crt"
	case "Service":
		return ref == ServiceRef("default", "kubernetes") || ref == ServiceRef("kube-system", "kube-dns")
	case "StorageClass":
		return ref.Name == localClass
	case "PriorityClass":
		return ref.Name == "system-cluster-critical" || ref.Name == "system-node-critical"
	case "ClusterRole":
		return strings.HasPrefix(ref.Name, "system:") || ref.Name == "cluster-admin" || ref.Name == "admin" || ref.Name == "edit" || ref.Name == "view"
	case "Role":
		return strings.HasPrefix(ref.Name, "system:")
	case "Namespace":
		return slices.Contains(undeclared, ref.Name)
	}
	return false
}

// comesWith tells whether another object brings the one along: the claims that a StatefulSet makes, and
// the storage class that volumes are labelled with while no such class exists.
func (w *whole) comesWith(ref Ref) bool {
	switch ref.Kind {
	case "PersistentVolumeClaim":
		name := strings.TrimRight(ref.Name, "0123456789")
		return len(name) < len(ref.Name) && strings.HasSuffix(name, "-") && w.claimMakers()[ref.Namespace+"/"+name] != nil
	case "StorageClass":
		return w.volumeClasses()[ref.Name]
	}
	return false
}

// claimMakers are the StatefulSets by the names of their claims without the ordinal, the first of each.
func (w *whole) claimMakers() map[string]*parsed {
	if w.claims != nil {
		return w.claims
	}
	w.claims = map[string]*parsed{}
	for _, p := range ofKind(w.objects, Ref{Group: "apps", Kind: "StatefulSet"}) {
		for _, name := range claimTemplates(p.Object) {
			if key := p.Ref.Namespace + "/" + name + "-" + p.Ref.Name + "-"; w.claims[key] == nil {
				w.claims[key] = p
			}
		}
	}
	return w.claims
}

// volumeClasses are the classes that PersistentVolumes are of.
func (w *whole) volumeClasses() map[string]bool {
	if w.classes != nil {
		return w.classes
	}
	w.classes = map[string]bool{}
	for _, p := range ofKind(w.objects, Ref{Kind: "PersistentVolume"}) {
		w.classes[p.Object.(*corev1.PersistentVolume).Spec.StorageClassName] = true
	}
	return w.classes
}
