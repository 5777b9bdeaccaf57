package manifest

import (
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// definitionKind is the kind that defines kinds.
var definitionKind = schema.GroupKind{Group: apiextensionsv1.GroupName, Kind: "CustomResourceDefinition"}

// scopes is what the CustomResourceDefinitions of a commit say about the kinds that they define.
type scopes map[schema.GroupKind]scope

type scope struct {
	definition *parsed
	namespaced bool
	versions   []string // that are served
}

// definitions gathers the scopes of the kinds that the objects define.
func (l *loader) definitions(objects []*parsed) scopes {
	made := scopes{}
	for _, p := range objects {
		crd, ok := p.Object.(*apiextensionsv1.CustomResourceDefinition)
		if !ok {
			continue
		}
		s := scope{definition: p, namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped}
		for _, v := range crd.Spec.Versions {
			if v.Served {
				s.versions = append(s.versions, v.Name)
			}
		}
		made[schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind}] = s
	}
	return made
}

// misnamed reports the name of a definition, resource and group, in the place of its group.
func (l *loader) misnamed(p *parsed, known scopes) {
	_, group, _ := strings.Cut(p.Ref.Group, ".")
	s, defined := known[schema.GroupKind{Group: group, Kind: p.Ref.Kind}]
	if !defined || s.definition.Ref.Name != p.Ref.Group {
		return
	}
	version := p.Object.GetObjectKind().GroupVersionKind().Version
	l.about(p, "apiVersion", fmt.Sprintf("%s is the name of the definition of %s; write %s/%s", p.Ref.Group, p.Ref.Kind, group, version))
}

// resolve puts custom resources into the namespace that their definition means. Those without a
// definition in the commit stay as they are written: without a namespace they are cluster-wide.
func (l *loader) resolve(objects []*parsed, known scopes) []*parsed {
	resolved := slices.Clone(objects)
	if len(known) == 0 {
		return resolved
	}
	for i, p := range resolved {
		s, defined := known[p.Ref.GroupKind()]
		if !defined {
			l.misnamed(p, known)
			continue
		}
		version := p.Object.GetObjectKind().GroupVersionKind().Version
		if !slices.Contains(s.versions, version) {
			l.about(p, "apiVersion", fmt.Sprintf("version %q is not served by the definition of %s", version, p.Ref.Kind))
		}
		switch {
		case s.namespaced && p.Ref.Namespace == "":
			resolved[i] = p.local
		case !s.namespaced && p.Ref.Namespace != "":
			l.about(p, "metadata.namespace", p.Ref.Kind+" is cluster-wide, its objects are in no namespace; remove it")
		}
	}
	l.conform(resolved, known)
	return resolved
}
