package reconcile

import "writ/state"

// autoscale is where a HorizontalPodAutoscaler is computed, once its kind is acted on.
func (d *draft) autoscale(*state.Record) {}
