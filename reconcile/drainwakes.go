package reconcile

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/state"
)

// budgetWakes: a Pod concerns the budgets that it counts for, if what they count of it changed, and with them the drains:
// at once, not only once a budget's status says so, which others may have been told of by then. And it concerns the
// drain of its node.
func budgetWakes(w *state.World, c *state.Change, yield func(Key)) {
	for b := range w.List("policy", "PodDisruptionBudget", c.Ref.Namespace) {
		if s := manifest.Selector(b.Object); s != nil && countedIn(c.Old, s) != countedIn(c.New, s) {
			keysFor(b.Ref, yield)
			yield(Key{Concern: drains})
		}
	}
	for _, r := range []*state.Record{c.Old, c.New} {
		if r == nil || r.Node == "" {
			continue
		}
		if node := w.Get(manifest.NodeRef(string(r.Node))); node != nil && manifest.Drains(node.Object) {
			yield(Key{Concern: drains})
		}
	}
}

// tally is what of a Pod a budget counts, the zero value if it is not about it.
type tally struct {
	there, healthy bool
	controller     types.UID
}

func countedIn(p *state.Record, s labels.Selector) tally {
	if p == nil || !s.Matches(labels.Set(p.Object.GetLabels())) {
		return tally{}
	}
	t := tally{there: true, healthy: p.Deletion == nil && podReady(p)}
	if c := state.ControllerOf(p); c != nil {
		t.controller = c.UID
	}
	return t
}

// scaleWakes: the size of what controls Pods concerns every budget that may be about them, and the drains.
func scaleWakes(w *state.World, c *state.Change, yield func(Key)) {
	if c.Old != nil && c.New != nil && !newer(c) && c.Old.Object == c.New.Object && c.Old.Allocation == c.New.Allocation {
		return
	}
	for b := range w.List("policy", "PodDisruptionBudget", c.Ref.Namespace) {
		keysFor(b.Ref, yield)
		yield(Key{Concern: drains})
	}
}

// allowanceWakes: a budget that says something else concerns the drains.
func allowanceWakes(c *state.Change, yield func(Key)) {
	if c.Old == nil || c.New == nil || newer(c) || c.Old.Object != c.New.Object {
		yield(Key{Concern: drains})
	}
}

// drainWakes: a node that is or was to be emptied concerns the drains.
func drainWakes(c *state.Change, yield func(Key)) {
	for _, r := range []*state.Record{c.Old, c.New} {
		if r != nil && (manifest.Drains(r.Object) || r.Annotations[drainState] != "") {
			yield(Key{Concern: drains})
			return
		}
	}
}
