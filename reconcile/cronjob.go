package reconcile

import "writ/state"

// cronJob is where a CronJob is computed, once its kind is acted on.
func (d *draft) cronJob(*state.Record) {}

func (d *draft) cronJobStatus(*state.Record) {}
