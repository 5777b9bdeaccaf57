package reconcile

import (
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
	"writ/state"
)

// budgetWakes: a Pod concerns the budgets that are about it, the drain of its node, and those of all nodes that its
// budgets' Pods are on: at once, not only once a budget's status says so, which others may have been told of by then.
func budgetWakes(w *state.World, c *state.Change, yield func(Key)) {
	for b := range w.List("policy", "PodDisruptionBudget", c.Ref.Namespace) {
		s := manifest.Selector(b.Object)
		for _, r := range []*state.Record{c.Old, c.New} {
			if r != nil && s != nil && s.Matches(labels.Set(r.Object.GetLabels())) {
				keysFor(b.Ref, yield)
				if soundness(c.Old) != soundness(c.New) {
					drainsOf(w, b, yield)
				}
				break
			}
		}
	}
	for _, r := range []*state.Record{c.Old, c.New} {
		if r != nil && r.Node != "" {
			drainOf(w, r.Node, yield)
		}
	}
}

// scaleWakes: the size of what controls Pods concerns every budget that may be about them, and the drains that wait
// for it.
func scaleWakes(w *state.World, c *state.Change, yield func(Key)) {
	if c.Old != nil && c.New != nil && !newer(c) && c.Old.Object == c.New.Object && c.Old.Allocation == c.New.Allocation {
		return
	}
	for b := range w.List("policy", "PodDisruptionBudget", c.Ref.Namespace) {
		keysFor(b.Ref, yield)
		drainsOf(w, b, yield)
	}
}

// sound is what of a Pod its budgets count.
type sound struct{ there, healthy bool }

func soundness(p *state.Record) sound {
	return sound{p != nil, p != nil && p.Deletion == nil && podReady(p)}
}

// allowanceWakes: a budget that says something else concerns the drains of the nodes that its Pods are on.
func allowanceWakes(w *state.World, c *state.Change, yield func(Key)) {
	if c.Old != nil && c.New != nil && !newer(c) && c.Old.Object == c.New.Object {
		return
	}
	for _, r := range []*state.Record{c.Old, c.New} {
		if r != nil {
			drainsOf(w, r, yield)
		}
	}
}

func drainsOf(w *state.World, budget *state.Record, yield func(Key)) {
	for p := range w.Select("", "Pod", budget.Ref.Namespace, manifest.Selector(budget.Object)) {
		if p.Node != "" {
			drainOf(w, p.Node, yield)
		}
	}
}

func drainOf(w *state.World, node state.Node, yield func(Key)) {
	ref := manifest.NodeRef(string(node))
	if r := w.Get(ref); r != nil && manifest.Drains(r.Object) {
		yield(Key{drains, ref})
	}
}
