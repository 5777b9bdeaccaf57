package reconcile

import "writ/state"

// job is where a Job is computed, once its kind is acted on.
func (d *draft) job(*state.Record) {}

func (d *draft) jobStatus(*state.Record) {}
