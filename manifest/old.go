package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	_ "k8s.io/kubernetes/pkg/apis/extensions/install" // registers the old group in legacyscheme
	kjson "sigs.k8s.io/json"
)

// An object may be written in an API version that Kubernetes no longer serves, as long as upstream still
// has its types: they are decoded strictly, take their own old defaults and go through upstream's
// conversion. A default of the old version holds where the new one demands that the field is written
// (selector, labels, pathType). Where the new version has a default of its own, that one holds: so
// changing the apiVersion of a workload and nothing else changes nothing that runs.

// movedTo is the group that kinds of the group extensions live in now.
var movedTo = map[string]string{
	"DaemonSet": "apps", "Deployment": "apps", "ReplicaSet": "apps",
	"Ingress": "networking.k8s.io", "NetworkPolicy": "networking.k8s.io",
}

// storedKind is the kind that objects are stored as which are written in a version, nil if none reads it.
func storedKind(gvk schema.GroupVersionKind) *kind {
	gk := gvk.GroupKind()
	if gvk.Group == "extensions" {
		gk.Group = movedTo[gvk.Kind]
	}
	k := kinds[gk]
	if k == nil || gvk.Group == gk.Group && k.reads(gvk.Version) {
		return k
	}
	if !k.isOld(gvk) {
		return nil
	}
	return k
}

// isOld tells whether the version of the kind is one that upstream keeps only to convert it.
func (k *kind) isOld(gvk schema.GroupVersionKind) bool {
	if gvk.Group == k.gvk.Group && k.reads(gvk.Version) {
		return false
	}
	return oldAutoscaler(gvk) || gvk.Version != runtime.APIVersionInternal && k.scheme.Recognizes(gvk)
}

// convertOld makes an object of the stored version out of one that is written in an old one, or nil after
// reporting why it cannot. data is what written was decoded from.
func (o *object) convertOld(k *kind, h *head, written runtime.Object, data []byte) Object {
	k.scheme.Default(written)
	internal, err := k.scheme.UnsafeConvertToVersion(written, schema.GroupVersion{Group: h.gvk.Group, Version: runtime.APIVersionInternal})
	if err == nil {
		openDefinition(internal)
		internal, err = k.scheme.UnsafeConvertToVersion(internal, k.gvk.GroupVersion())
	}
	var made Object
	if err == nil {
		made, err = k.canonical(internal)
	}
	if err != nil {
		o.mistake(problem{what: fmt.Sprintf("cannot be converted from %s: %v", h.gvk.GroupVersion(), err)})
		return nil
	}
	if k.template != nil && k.gvk.Group == "apps" {
		made = k.withNewDefaults(made, data)
	}
	return made
}

// withNewDefaults is the object as it would be when written in the stored version, which has the same
// fields, with only those fields taken from old that are then empty.
func (k *kind) withNewDefaults(old Object, data []byte) Object {
	now := k.empty()
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, now); err != nil {
		return old
	}
	made, err := k.canonical(now)
	if err != nil {
		return old
	}
	fillEmpty(reflect.ValueOf(made).Elem(), reflect.ValueOf(old).Elem())
	return made
}

// fillEmpty gives the empty fields of a struct, and of the structs in it, the values of another one.
func fillEmpty(to, from reflect.Value) {
	for i := range to.NumField() {
		a, b := to.Field(i), from.Field(i)
		for a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil() {
			a, b = a.Elem(), b.Elem()
		}
		switch {
		case !a.CanSet():
		case a.IsZero():
			a.Set(b)
		case a.Kind() == reflect.Struct && !decodesItself(a.Type()):
			fillEmpty(a, b)
		}
	}
}

// openDefinition writes "unknown fields are kept", the default of old definitions, as new ones have it.
func openDefinition(obj runtime.Object) {
	crd, ok := obj.(*apiextensions.CustomResourceDefinition)
	if !ok || crd.Spec.PreserveUnknownFields == nil || !*crd.Spec.PreserveUnknownFields {
		return
	}
	keep := true
	open := func(v *apiextensions.CustomResourceValidation) *apiextensions.CustomResourceValidation {
		if v == nil || v.OpenAPIV3Schema == nil {
			v = &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &apiextensions.JSONSchemaProps{Type: "object"}}
		}
		v.OpenAPIV3Schema.XPreserveUnknownFields = &keep
		return v
	}
	crd.Spec.PreserveUnknownFields = new(bool)
	if len(crd.Spec.Versions) == 0 || crd.Spec.Validation != nil {
		crd.Spec.Validation = open(crd.Spec.Validation)
		return
	}
	for i := range crd.Spec.Versions {
		crd.Spec.Versions[i].Schema = open(crd.Spec.Versions[i].Schema)
	}
}

// newForms says what else changes with the apiVersion.
var newForms = map[string]string{
	"Ingress":                        "where a backend is service: {name: ..., port: {number: ...}} and every path has a pathType",
	"CustomResourceDefinition":       "where every one of spec.versions has its schema",
	"HorizontalPodAutoscaler":        "where a metric has its number in target: {type: Utilization, averageUtilization: ...}",
	"CertificateSigningRequest":      "where spec.signerName is written",
	"ValidatingWebhookConfiguration": "where every webhook has sideEffects and admissionReviewVersions",
	"MutatingWebhookConfiguration":   "where every webhook has sideEffects and admissionReviewVersions",
}

// warnOld tells the new form of an object that is written in an old version.
func (o *object) warnOld(k *kind, h *head, made Object) {
	what := fmt.Sprintf("%s of %s is no longer served by Kubernetes and was converted; write %s", h.gvk.GroupVersion(), k.gvk.Kind, k.gvk.GroupVersion())
	if note := newForms[k.gvk.Kind]; note != "" {
		what += ", " + note
	}
	var spec struct {
		Selector any `json:"selector"`
	}
	if k.template != nil && k.gvk.Group == "apps" && json.Unmarshal(h.fields["spec"], &spec) == nil && spec.Selector == nil {
		what += fmt.Sprintf(", and spec.selector: {matchLabels: {%s}}", strings.ReplaceAll(labels.FormatLabels(k.template(made).Labels), "=", ": "))
	}
	o.warn(problem{"apiVersion", what})
}

// removedKinds are kinds that Kubernetes removed without a new version, with what took their place.
var removedKinds = map[string]string{
	"PodSecurityPolicy": "was removed from Kubernetes; label each namespace with the Pod Security level that took its place " +
		"(pod-security.kubernetes.io/enforce: baseline or restricted)",
	"PodPreset": "was removed from Kubernetes; write what it adds into the pod templates",
}

// removed says what took the place of a kind, empty for one that was not removed.
func removed(gvk schema.GroupVersionKind) string {
	if what := removedKinds[gvk.Kind]; what != "" && slices.Contains([]string{"extensions", "policy", "settings.k8s.io"}, gvk.Group) {
		return gvk.Kind + " " + what
	}
	return ""
}
