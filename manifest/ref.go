package manifest

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Ref is the identity of an object: its kind with its API group, its namespace (empty for
// cluster-wide kinds) and its name. Where the object is written, and the version it is written in,
// are no part of it. It is comparable and may be a map key.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is the form shown to people: Kind/namespace/name, or Kind/name without a namespace.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + "/" + r.Name
	}
	return r.Kind + "/" + r.Namespace + "/" + r.Name
}

// GroupKind is the kind with its API group.
func (r Ref) GroupKind() schema.GroupKind {
	return schema.GroupKind{Group: r.Group, Kind: r.Kind}
}

// Compare orders references by kind, group, namespace and name.
func (r Ref) Compare(o Ref) int {
	return cmp.Or(
		strings.Compare(r.Kind, o.Kind),
		strings.Compare(r.Group, o.Group),
		strings.Compare(r.Namespace, o.Namespace),
		strings.Compare(r.Name, o.Name),
	)
}

// References of the kinds that Writ itself acts on.

func NamespaceRef(name string) Ref { return Ref{Kind: "Namespace", Name: name} }
func NodeRef(name string) Ref      { return Ref{Kind: "Node", Name: name} }
func PodRef(ns, name string) Ref   { return Ref{Kind: "Pod", Namespace: ns, Name: name} }
func ServiceRef(ns, name string) Ref {
	return Ref{Kind: "Service", Namespace: ns, Name: name}
}
func ConfigMapRef(ns, name string) Ref {
	return Ref{Kind: "ConfigMap", Namespace: ns, Name: name}
}
func SecretRef(ns, name string) Ref { return Ref{Kind: "Secret", Namespace: ns, Name: name} }
func ServiceAccountRef(ns, name string) Ref {
	return Ref{Kind: "ServiceAccount", Namespace: ns, Name: name}
}
func DeploymentRef(ns, name string) Ref {
	return Ref{Group: "apps", Kind: "Deployment", Namespace: ns, Name: name}
}
func ReplicaSetRef(ns, name string) Ref {
	return Ref{Group: "apps", Kind: "ReplicaSet", Namespace: ns, Name: name}
}
func StatefulSetRef(ns, name string) Ref {
	return Ref{Group: "apps", Kind: "StatefulSet", Namespace: ns, Name: name}
}
func RevisionRef(ns, name string) Ref {
	return Ref{Group: "apps", Kind: "ControllerRevision", Namespace: ns, Name: name}
}
func EndpointSliceRef(ns, name string) Ref {
	return Ref{Group: "discovery.k8s.io", Kind: "EndpointSlice", Namespace: ns, Name: name}
}
func ClaimRef(ns, name string) Ref {
	return Ref{Kind: "PersistentVolumeClaim", Namespace: ns, Name: name}
}
func VolumeRef(name string) Ref { return Ref{Kind: "PersistentVolume", Name: name} }
func StorageClassRef(name string) Ref {
	return Ref{Group: "storage.k8s.io", Kind: "StorageClass", Name: name}
}
func EndpointsRef(ns, name string) Ref {
	return Ref{Kind: "Endpoints", Namespace: ns, Name: name}
}
