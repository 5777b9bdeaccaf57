package manifest

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// kind is what this package knows about one kind of object.
type kind struct {
	gvk        schema.GroupVersionKind // the version that is stored
	others     []string                // further versions of the group that are read and converted
	resource   string
	namespaced bool
	acted      bool
	restricts  bool
	scheme     *runtime.Scheme
	rules      rules
	template   func(Object) *corev1.PodTemplateSpec
	selector   func(Object) labels.Selector
	complete   func(runtime.Object) // fills what a server's storage does beside the scheme's defaults; may be nil
}

// option changes one thing about a kind.
type option func(*kind)

// acted marks a kind that Writ itself acts on; every other kind is stored and shown only.
func acted(k *kind) { k.acted = true }

// restricts marks a kind that forbids something to others, so that leaving it unenforced is dangerous.
func restricts(k *kind) { k.restricts = true }

// alsoIn lists further API versions of the same group in which the kind may be written.
func alsoIn(versions ...string) option { return func(k *kind) { k.others = versions } }

// template tells where an owner of pods keeps their template.
func template(f func(Object) *corev1.PodTemplateSpec) option {
	return func(k *kind) { k.template = f }
}

// selector tells which pods an object is about.
func selector(f func(Object) labels.Selector) option { return func(k *kind) { k.selector = f } }

// completed fills what upstream's storage, not its scheme, fills in.
func completed(f func(runtime.Object)) option { return func(k *kind) { k.complete = f } }

// group lists kinds of one API group and version.
type group struct {
	gv     schema.GroupVersion
	scheme *runtime.Scheme
	kinds  map[schema.GroupKind]*kind
}

// add puts a kind with upstream's registry strategy into the table.
func (g group) add(name string, s strategy, options ...option) {
	k := g.put(name, s.NamespaceScoped(), options)
	k.rules = strategyRules{s, k.gvk, k.resource}
}

// addRules puts a namespaced kind whose strategy is not used into the table.
func (g group) addRules(name string, r rules, options ...option) {
	g.put(name, true, options).rules = r
}

func (g group) put(name string, namespaced bool, options []option) *kind {
	gvk := g.gv.WithKind(name)
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	k := &kind{gvk: gvk, resource: plural.Resource, namespaced: namespaced, scheme: g.scheme}
	for _, o := range options {
		o(k)
	}
	g.kinds[gvk.GroupKind()] = k
	return k
}

// IsKnown tells whether the kind is one of Kubernetes' own that Writ reads.
func IsKnown(gk schema.GroupKind) bool { return kinds[gk] != nil }

// IsNamespaced tells whether objects of a kind of Kubernetes' own live in namespaces. For kinds of a
// CustomResourceDefinition it is false; the namespace of the object's Ref tells.
func IsNamespaced(gk schema.GroupKind) bool { return kinds[gk] != nil && kinds[gk].namespaced }

// Acted tells whether Writ acts on the kind. What is known and not acted on is stored and shown as such.
func Acted(gk schema.GroupKind) bool { return kinds[gk] != nil && kinds[gk].acted }

// Restricts tells whether objects of the kind forbid something to others (NetworkPolicy,
// ResourceQuota, LimitRange). None is enforced yet, which must be shown as a danger.
func Restricts(gk schema.GroupKind) bool { return kinds[gk] != nil && kinds[gk].restricts }

// GVK is the kind of a reference with the version that Writ stores. The version is empty for kinds
// of a CustomResourceDefinition, whose objects carry it themselves.
func GVK(ref Ref) schema.GroupVersionKind {
	if k := kinds[ref.GroupKind()]; k != nil {
		return k.gvk
	}
	return schema.GroupVersionKind{Group: ref.Group, Kind: ref.Kind}
}

// Resource is the lower-case plural under which Kubernetes' API serves the kind, empty for kinds that
// are not Kubernetes' own.
func Resource(gk schema.GroupKind) string {
	if k := kinds[gk]; k != nil {
		return k.resource
	}
	return ""
}

// New makes an empty object of the stored version with apiVersion and kind filled in. It is false for
// kinds that are not Kubernetes' own.
func New(gk schema.GroupKind) (Object, bool) {
	k := kinds[gk]
	if k == nil {
		return nil, false
	}
	return k.empty(), true
}

// empty makes an object of the stored version.
func (k *kind) empty() Object {
	made, err := k.scheme.New(k.gvk)
	if err != nil {
		panic("manifest: " + k.gvk.String() + " is in the table of kinds and not in the scheme: " + err.Error())
	}
	obj := made.(Object)
	obj.GetObjectKind().SetGroupVersionKind(k.gvk)
	return obj
}

// RefOf is the identity of an object, zero for a Go type that no kind of the table has.
func RefOf(obj Object) Ref {
	ref, _ := refOf(obj)
	return ref
}

func refOf(obj Object) (Ref, bool) {
	gk := obj.GetObjectKind().GroupVersionKind().GroupKind()
	if gk.Kind == "" {
		gk = typeKind(obj)
	}
	if gk.Kind == "" {
		return Ref{}, false
	}
	return Ref{Group: gk.Group, Kind: gk.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}, true
}

// typeKind finds the kind of a Go type.
func typeKind(obj runtime.Object) schema.GroupKind {
	for _, s := range []*runtime.Scheme{legacyscheme.Scheme, extensions} {
		if gvks, _, err := s.ObjectKinds(obj); err == nil && len(gvks) > 0 {
			return gvks[0].GroupKind()
		}
	}
	return schema.GroupKind{}
}

// APIVersions are the versions in which objects may be written without being converted from what
// Kubernetes no longer serves: group/version, and group/version/Kind, sorted.
func APIVersions() []string {
	known := make(map[string]bool)
	for gk, k := range kinds {
		for _, version := range append([]string{k.gvk.Version}, k.others...) {
			gv := schema.GroupVersion{Group: gk.Group, Version: version}.String()
			known[gv], known[gv+"/"+gk.Kind] = true, true
		}
	}
	return slices.Sorted(maps.Keys(known))
}
