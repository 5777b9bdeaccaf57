package reconcile

import "writ/state"

// budget is where a PodDisruptionBudget is computed, once its kind is acted on.
func (d *draft) budget(*state.Record) {}
