package manifest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// undefined warns of custom resources whose kind nothing in the commit defines: an API server would not
// know it. It is told once for each kind, at the first of its objects.
func (w *whole) undefined() {
	if w.unread {
		return
	}
	defined := map[schema.GroupKind]bool{}
	for b := range w.broken {
		if b.GroupKind() == definitionKind {
			return // it may be the one
		}
	}
	for _, p := range ofKind(w.objects, Ref{Group: definitionKind.Group, Kind: definitionKind.Kind}) {
		crd := p.Object.(*apiextensionsv1.CustomResourceDefinition)
		defined[schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind}] = true
	}
	for _, p := range w.objects {
		gk := p.Ref.GroupKind()
		if IsKnown(gk) || defined[gk] {
			continue
		}
		defined[gk] = true
		w.hint(p, "apiVersion", fmt.Sprintf("no CustomResourceDefinition of this commit defines the kind %s of %s", gk.Kind, gk.Group))
	}
}

// endpoints warns of addresses that no Service takes.
func (w *whole) endpoints() {
	for _, p := range ofKind(w.objects, Ref{Kind: "Endpoints"}) {
		ref := ServiceRef(p.Ref.Namespace, p.Ref.Name)
		found := w.byRef[ref]
		switch {
		case found == nil && (w.unread || w.broken[ref] || w.custom[ref.Namespace] || isThere(ref)):
		case found == nil:
			w.hint(p, "metadata.name", fmt.Sprintf("%s is not declared in this commit: no traffic goes to these addresses", ref))
		case len(found.Object.(*corev1.Service).Spec.Selector) > 0:
			w.hint(p, "metadata.name", fmt.Sprintf("%s in %s has a selector: its traffic goes to the pods, not to these addresses", ref, found.Source))
		}
	}
}
