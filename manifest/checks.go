package manifest

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
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
	for _, ref := range l.broken {
		if ref.Group == "" && ref.Kind == "Namespace" {
			declared[ref.Name] = true
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

// claim is what an owner selects and what its own pods are labelled.
type claim struct {
	owner    *parsed
	selector labels.Selector
	exact    []pair // the labels that a pod must have to be selected
	labels   labels.Set
}

// pair is one label in one namespace.
type pair struct{ namespace, key, value string }

// claimOf is nil for objects that do not own pods through a selector.
func claimOf(p *parsed) *claim {
	k := kinds[p.Ref.GroupKind()]
	if k == nil || k.template == nil || k.selector == nil {
		return nil
	}
	template := k.template(p.Object)
	selector := k.selector(p.Object)
	needs, selectable := selector.Requirements()
	if template == nil || !selectable || len(needs) == 0 {
		return nil
	}
	return &claim{p, selector, exact(p.Ref.Namespace, needs), template.Labels}
}

// exact are the labels that a pod must have with one certain value.
func exact(namespace string, needs labels.Requirements) []pair {
	var pairs []pair
	for _, r := range needs {
		if values := r.ValuesUnsorted(); len(values) == 1 && r.Matches(labels.Set{r.Key(): values[0]}) {
			pairs = append(pairs, pair{namespace, r.Key(), values[0]})
		}
	}
	return pairs
}

// selectors reports owners that would fight for pods: the selector of one matches the template of the
// other. Only pairs with an added owner are looked at; all others were, in the commit before.
func (l *loader) selectors(objects, added []*parsed) {
	fresh := newClaims(added)
	if len(fresh.all) == 0 {
		return
	}
	reported := map[[2]*parsed]bool{}
	report := func(a, b *claim) {
		if a.owner.Ref.Compare(b.owner.Ref) > 0 {
			a, b = b, a
		}
		key := [2]*parsed{a.owner, b.owner}
		if a.owner.Ref == b.owner.Ref || reported[key] || len(reported) >= maxMistakesOfFile {
			return
		}
		reported[key] = true
		l.about(b.owner, "spec.selector", fmt.Sprintf("overlaps the selector of %s in %s; each would take over the other's pods", a.owner.Ref, a.owner.Source))
	}
	for _, p := range objects {
		if c := p.claim; c != nil {
			fresh.selecting(c, report)
			fresh.selectedBy(c, report)
		}
	}
}

// claims are indexed so that looking for overlaps of thousands of owners stays quick.
type claims struct {
	all       []*claim
	labelled  map[pair][]*claim   // by every label of the template
	bySelect  map[pair][]*claim   // by the rarest label that the selector needs
	unindexed map[string][]*claim // by namespace: selectors that need no exact label
	inside    map[string][]*claim // by namespace
}

func newClaims(added []*parsed) claims {
	cs := claims{nil, map[pair][]*claim{}, map[pair][]*claim{}, map[string][]*claim{}, map[string][]*claim{}}
	for _, p := range added {
		c := p.claim
		if c == nil {
			continue
		}
		cs.all = append(cs.all, c)
		cs.inside[p.Ref.Namespace] = append(cs.inside[p.Ref.Namespace], c)
		for key, value := range c.labels {
			at := pair{p.Ref.Namespace, key, value}
			cs.labelled[at] = append(cs.labelled[at], c)
		}
	}
	for _, c := range cs.all {
		if rarest, _, found := cs.rarest(c); found {
			cs.bySelect[rarest] = append(cs.bySelect[rarest], c)
		} else {
			cs.unindexed[c.owner.Ref.Namespace] = append(cs.unindexed[c.owner.Ref.Namespace], c)
		}
	}
	return cs
}

// rarest is the label that the selector needs and that the fewest templates have.
func (cs claims) rarest(c *claim) (at pair, having []*claim, found bool) {
	for _, p := range c.exact {
		if list := cs.labelled[p]; !found || len(list) < len(having) {
			at, having, found = p, list, true
		}
	}
	return at, having, found
}

// selecting reports the claims whose pods c selects.
func (cs claims) selecting(c *claim, report func(a, b *claim)) {
	_, candidates, found := cs.rarest(c)
	if !found {
		candidates = cs.inside[c.owner.Ref.Namespace]
	}
	for _, other := range candidates {
		if other.owner != c.owner && c.selector.Matches(other.labels) {
			report(c, other)
		}
	}
}

// selectedBy reports the claims that select the pods of c.
func (cs claims) selectedBy(c *claim, report func(a, b *claim)) {
	for key, value := range c.labels {
		selectedBy(c, cs.bySelect[pair{c.owner.Ref.Namespace, key, value}], report)
	}
	selectedBy(c, cs.unindexed[c.owner.Ref.Namespace], report)
}

func selectedBy(c *claim, candidates []*claim, report func(a, b *claim)) {
	for _, other := range candidates {
		if other.owner != c.owner && other.selector.Matches(c.labels) {
			report(c, other)
		}
	}
}
