package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// claim is what an owner selects and what its own pods are labelled.
type claim struct {
	owner    *parsed
	selector labels.Selector
	needs    []pair // the labels that a pod must have to be selected
	labels   labels.Set
}

// pair is one label in one namespace, with one value or with any.
type pair struct {
	namespace, key, value string
	any                   bool
}

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
	return &claim{p, selector, required(p.Ref.Namespace, needs), template.Labels}
}

// required are the labels without which a pod is not selected.
func required(namespace string, needs labels.Requirements) []pair {
	var pairs []pair
	for _, r := range needs {
		if r.Matches(labels.Set{}) {
			continue // asks for a label not to be there
		}
		values := r.ValuesUnsorted()
		if len(values) == 1 && r.Matches(labels.Set{r.Key(): values[0]}) {
			pairs = append(pairs, pair{namespace, r.Key(), values[0], false})
		} else {
			pairs = append(pairs, pair{namespace, r.Key(), "", true})
		}
	}
	return pairs
}

// maxComparisons bounds the work of looking for overlaps: selectors that need no label have to be
// compared with every owner of their namespace.
const maxComparisons = 2_000_000

// selectors reports owners that would fight for pods: the selector of one matches the template of the
// other. Only pairs with an added owner are looked at; all others were, in the commit before.
func (l *loader) selectors(objects, added []*parsed) {
	search := newOverlaps(added)
	if !search.any {
		return
	}
	for _, p := range objects {
		if p.claim == nil {
			continue
		}
		search.of(p.claim)
		if len(search.found) >= maxMistakesOfFile {
			break
		}
		if search.comparisons > maxComparisons {
			l.about(p, "spec.selector", "there are too many owners whose selectors need no label to be compared; use matchLabels")
			break
		}
	}
	slices.SortFunc(search.found, func(a, b [2]*parsed) int {
		return cmp.Or(a[1].Ref.Compare(b[1].Ref), a[0].Ref.Compare(b[0].Ref))
	})
	for _, f := range search.found[:min(len(search.found), maxMistakesOfFile)] {
		l.about(f[1], "spec.selector", fmt.Sprintf("overlaps the selector of %s in %s; each would take over the other's pods", f[0].Ref, f[0].Source))
	}
}

// overlaps looks for owners that select each other's pods. The added owners are indexed, so that
// comparing them with thousands of others stays quick.
type overlaps struct {
	any         bool                // whether there are added owners at all
	inside      map[string][]*claim // by namespace
	labelled    map[pair][]*claim   // by every label of the template
	bySelect    map[pair][]*claim   // by the rarest label that the selector needs
	unindexed   map[string][]*claim // by namespace: selectors that need no label
	comparisons int
	found       [][2]*parsed // each in the order of their Ref
	reported    map[[2]*parsed]bool
}

func newOverlaps(added []*parsed) *overlaps {
	o := &overlaps{
		inside: map[string][]*claim{}, labelled: map[pair][]*claim{}, bySelect: map[pair][]*claim{},
		unindexed: map[string][]*claim{}, reported: map[[2]*parsed]bool{},
	}
	for _, p := range added {
		if p.claim == nil {
			continue
		}
		namespace := p.Ref.Namespace
		o.any = true
		o.inside[namespace] = append(o.inside[namespace], p.claim)
		for key, value := range p.claim.labels {
			for _, at := range [2]pair{{namespace, key, value, false}, {namespace, key, "", true}} {
				o.labelled[at] = append(o.labelled[at], p.claim)
			}
		}
	}
	for namespace, claims := range o.inside {
		for _, c := range claims {
			if at, _, found := o.rarest(c); found {
				o.bySelect[at] = append(o.bySelect[at], c)
			} else {
				o.unindexed[namespace] = append(o.unindexed[namespace], c)
			}
		}
	}
	return o
}

// rarest is the label that the selector needs and that the fewest templates have.
func (o *overlaps) rarest(c *claim) (at pair, having []*claim, found bool) {
	for _, p := range c.needs {
		if list := o.labelled[p]; !found || len(list) < len(having) {
			at, having, found = p, list, true
		}
	}
	return at, having, found
}

// few is how many owners are compared more quickly than found through an index.
const few = 4

// of finds the added owners of the namespace that overlap with c, in either direction.
func (o *overlaps) of(c *claim) {
	inside := o.inside[c.owner.Ref.Namespace]
	if len(inside) > few {
		o.selecting(c)
		o.selectedBy(c)
		return
	}
	for _, other := range inside {
		o.compare(c, other)
		o.compare(other, c)
	}
}

// selecting finds the added owners whose pods c selects.
func (o *overlaps) selecting(c *claim) {
	_, candidates, found := o.rarest(c)
	if !found {
		candidates = o.inside[c.owner.Ref.Namespace]
	}
	for _, other := range candidates {
		o.compare(c, other)
	}
}

// selectedBy finds the added owners that select the pods of c.
func (o *overlaps) selectedBy(c *claim) {
	namespace := c.owner.Ref.Namespace
	for key, value := range c.labels {
		for _, at := range [2]pair{{namespace, key, value, false}, {namespace, key, "", true}} {
			for _, other := range o.bySelect[at] {
				o.compare(other, c)
			}
		}
	}
	for _, other := range o.unindexed[namespace] {
		o.compare(other, c)
	}
}

// compare notes the two owners if the selector of one takes the pods of the other.
func (o *overlaps) compare(selecting, having *claim) {
	o.comparisons++
	a, b := selecting.owner, having.owner
	if a.Ref == b.Ref || !selecting.selector.Matches(having.labels) {
		return
	}
	if a.Ref.Compare(b.Ref) > 0 {
		a, b = b, a
	}
	if key := [2]*parsed{a, b}; !o.reported[key] {
		o.reported[key] = true
		o.found = append(o.found, key)
	}
}
