package reconcile

import "writ/state"

// daemonSet is where a DaemonSet is computed, once its kind is acted on.
func (d *draft) daemonSet(*state.Record) {}

func (d *draft) daemonSetStatus(*state.Record) {}
