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
	const closed = -1
	state := map[Ref]int{} // while it is open, where it is on the stack, from 1
	for _, p := range order {
		if state[p.Ref] != 0 {
			continue
		}
		stack := []waiting{{ref: p.Ref}}
		state[p.Ref] = 1
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == len(waits[top.ref]) {
				state[top.ref] = closed
				stack = stack[:len(stack)-1]
				continue
			}
			ref := waits[top.ref][top.next]
			top.next++
			switch at := state[ref]; {
			case at == 0:
				stack = append(stack, waiting{ref: ref})
				state[ref] = len(stack)
			case at != closed:
				if w.circle(stack[at-1:]); len(w.mistakes) >= maxMistakes {
					return // more are not told
				}
			}
		}
	}
}

// waiting is an object and how many of those that it waits for were looked at.
type waiting struct {
	ref  Ref
	next int
}

// circle reports objects that wait for each other, each for the next and the last for the first.
func (w *whole) circle(all []waiting) {
	const most = 5
	first := w.byRef[all[0].ref]
	if len(all) == 1 {
		w.about(first, dependsField, "depends on itself")
		return
	}
	var names []string
	for _, next := range all[1:min(len(all), most)] {
		names = append(names, fmt.Sprintf("%s in %s", next.ref, w.byRef[next.ref].Source))
	}
	if n := len(all) - most; n > 0 {
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
