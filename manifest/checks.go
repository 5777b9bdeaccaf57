package manifest

import (
	"fmt"
	"slices"
)

// undeclared are the namespaces that are there without being declared.
var undeclared = []string{"default", "kube-node-lease", "kube-public", "kube-system"}

// namespaces reports objects in namespaces that nobody declares. It is silent when something could not
// be identified, as that may be the namespace.
func (l *loader) namespaces(objects []*parsed) {
	if l.unread {
		return
	}
	declared := map[string]bool{"": true}
	for _, name := range undeclared {
		declared[name] = true
	}
	for _, b := range l.broken {
		if b.ref.Group == "" && b.ref.Kind == "Namespace" {
			declared[b.ref.Name] = true
		}
	}
	for _, p := range ofKind(objects, NamespaceRef("")) {
		declared[p.Ref.Name] = true
	}
	for _, p := range objects {
		if !declared[p.Ref.Namespace] {
			l.about(p, "metadata.namespace", fmt.Sprintf("namespace %q is not declared in this commit; add a Namespace manifest", p.Ref.Namespace))
		}
	}
}

// lookUp finds an object among those that are sorted by Ref, or nil.
func lookUp(objects []*parsed, ref Ref) *parsed {
	i, found := slices.BinarySearchFunc(objects, ref, func(p *parsed, r Ref) int { return p.Ref.Compare(r) })
	if !found {
		return nil
	}
	return objects[i]
}

// ofKind are the objects of the reference's kind.
func ofKind(objects []*parsed, ref Ref) []*parsed {
	ref.Namespace, ref.Name = "", ""
	start, _ := slices.BinarySearchFunc(objects, ref, func(p *parsed, r Ref) int { return p.Ref.Compare(r) })
	end := start
	for end < len(objects) && objects[end].Ref.GroupKind() == ref.GroupKind() {
		end++
	}
	return objects[start:end]
}
