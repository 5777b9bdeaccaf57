package manifest

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// DependsOnAnnotation lists the objects that have to be healthy before an object is put in place:
// group/kind/name, or group/namespaces/namespace/kind/name, with an empty group for Kubernetes' core
// kinds, separated by commas. It is kpt's and Argo CD's, among others.
const DependsOnAnnotation = "config.kubernetes.io/depends-on"

const dependsField = "metadata.annotations[" + DependsOnAnnotation + "]"

// DependsOn is what an object says it depends on, in the order of writing, each once.
func DependsOn(obj Object) ([]Ref, error) {
	text, found := obj.GetAnnotations()[DependsOnAnnotation]
	if !found {
		return nil, nil
	}
	var refs []Ref
	seen := map[Ref]bool{}
	for part := range strings.SplitSeq(text, ",") {
		ref, err := parseDependency(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if !seen[ref] {
			seen[ref] = true
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

func parseDependency(text string) (Ref, error) {
	parts := strings.Split(text, "/")
	var ref Ref
	switch {
	case len(parts) == 3:
		ref = Ref{Group: parts[0], Kind: parts[1], Name: parts[2]}
	case len(parts) == 5 && parts[1] == "namespaces" && parts[2] != "":
		ref = Ref{Group: parts[0], Kind: parts[3], Namespace: parts[2], Name: parts[4]}
	}
	if ref.Kind == "" || ref.Name == "" {
		return Ref{}, fmt.Errorf("%q is not of the form group/kind/name or group/namespaces/namespace/kind/name", text)
	}
	if k := kinds[ref.GroupKind()]; k != nil && k.namespaced != (ref.Namespace != "") {
		if k.namespaced {
			return Ref{}, fmt.Errorf("%q names no namespace: write %s/namespaces/NAMESPACE/%s/%s", text, ref.Group, ref.Kind, ref.Name)
		}
		return Ref{}, fmt.Errorf("%q names a namespace, and %s is cluster-wide: write %s/%s/%s", text, ref.Kind, ref.Group, ref.Kind, ref.Name)
	}
	return ref, nil
}

// dependencies reports objects that wait for what is not there, and for each other.
func (w *whole) dependencies() {
	waits := map[Ref][]Ref{}
	var order []*parsed
	for _, p := range w.objects {
		if p.depends == nil {
			continue
		}
		if p.depends.wrong != "" {
			w.about(p, dependsField, p.depends.wrong)
			continue
		}
		order = append(order, p)
		for _, ref := range p.depends.on {
			if w.byRef[ref] == nil {
				w.dependency(p, ref)
			} else {
				waits[p.Ref] = append(waits[p.Ref], ref)
			}
		}
	}
	w.cycles(order, waits)
}

func (w *whole) dependency(p *parsed, ref Ref) {
	if w.unread || w.broken[ref] || isThere(ref) {
		return
	}
	what := fmt.Sprintf("depends on %s, which is not declared in this commit", ref)
	if gk := (schema.GroupKind{Group: ref.Group, Kind: ref.Kind}); !IsKnown(gk) && ownGroup(ref.Group) {
		what += fmt.Sprintf("; group %q has no kind %s", ref.Group, ref.Kind)
	}
	w.about(p, dependsField, what)
}

// cycles reports every circle once, at the first of its objects that the order meets.
func (w *whole) cycles(order []*parsed, waits map[Ref][]Ref) {
	const (
		open   = 1
		closed = 2
	)
	type frame struct {
		ref  Ref
		next int
	}
	state := map[Ref]int{}
	for _, p := range order {
		if state[p.Ref] != 0 {
			continue
		}
		stack := []frame{{ref: p.Ref}}
		state[p.Ref] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == len(waits[top.ref]) {
				state[top.ref] = closed
				stack = stack[:len(stack)-1]
				continue
			}
			ref := waits[top.ref][top.next]
			top.next++
			switch state[ref] {
			case 0:
				state[ref] = open
				stack = append(stack, frame{ref: ref})
			case open:
				var circle []Ref
				for i := len(stack) - 1; ; i-- {
					circle = append([]Ref{stack[i].ref}, circle...)
					if stack[i].ref == ref {
						break
					}
				}
				w.circle(circle)
			}
		}
	}
}

// circle reports objects that wait for each other, each for the next and the last for the first.
func (w *whole) circle(refs []Ref) {
	const most = 5
	first := w.byRef[refs[0]]
	if len(refs) == 1 {
		w.about(first, dependsField, "depends on itself")
		return
	}
	var names []string
	for _, ref := range refs[1:min(len(refs), most)] {
		names = append(names, fmt.Sprintf("%s in %s", ref, w.byRef[ref].Source))
	}
	if n := len(refs) - most; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	w.about(first, dependsField, fmt.Sprintf("waits for itself: it depends on %s, which depends on it", strings.Join(names, ", which depends on ")))
}

// dependsOn is what an object's annotation says.
type dependsOn struct {
	on    []Ref
	wrong string
}

func dependsOf(obj Object) *dependsOn {
	refs, err := DependsOn(obj)
	switch {
	case err != nil:
		return &dependsOn{wrong: err.Error()}
	case len(refs) == 0:
		return nil
	}
	return &dependsOn{on: refs}
}
