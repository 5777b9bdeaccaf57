package reconcile

import "writ/state"

// statefulSet is where a StatefulSet is computed, once its kind is acted on.
func (d *draft) statefulSet(*state.Record) {}

func (d *draft) statefulSetStatus(*state.Record) {}
