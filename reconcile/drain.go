package reconcile

import "writ/state"

// drain is where a node is drained, once budgets are kept.
func (d *draft) drain(*state.Record) {}
