package reconcile

import (
	"slices"

	"writ/manifest"
	"writ/state"
)

// autoscalerWakes yields what an autoscaler scaled and scales: without it the written size counts again.
func autoscalerWakes(c *state.Change, yield func(Key)) {
	was, is := scaleTarget(c.Old), scaleTarget(c.New)
	for _, ref := range []manifest.Ref{was, is} {
		if was != is && ref.Kind != "" {
			yield(Key{autoscaling, ref})
		}
	}
}

// watched are the objects whose changes wake an object: what it depends on, and what it scales.
func watched(r *state.Record) []manifest.Ref {
	refs := dependencies(r)
	if target := scaleTarget(r); target.Kind != "" {
		refs = append(slices.Clip(refs), target)
	}
	return refs
}
