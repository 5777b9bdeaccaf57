package reconcile

import "writ/state"

// jobWakes yields the Jobs of the Pods that were to go on a node that came or went: which of them still end.
func jobWakes(w *state.World, c *state.Change, yield func(Key)) {
	if c.Old != nil && c.New != nil {
		return
	}
	for p := range w.OnNode(state.Node(c.Ref.Name)) {
		if p.Deletion != nil {
			ownerWakes(w, &state.Change{Ref: p.Ref, New: p}, yield)
		}
	}
}
