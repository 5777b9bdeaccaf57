package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"writ/reconcile/loop/metrics"
	noderuntime "writ/runtime"
	"writ/state"
)

// scaleConfig is how autoscalers measure.
type scaleConfig struct{ every time.Duration }

func (c *scaleConfig) flags(f *pflag.FlagSet) {
	f.DurationVar(&c.every, "horizontal-pod-autoscaler-sync-period", metrics.DefaultEvery, "time between two measurements for autoscalers, at most 1m")
}

func (c *scaleConfig) validate() error {
	if c.every < time.Millisecond || c.every > time.Minute {
		return fmt.Errorf("--horizontal-pod-autoscaler-sync-period %s: between 1ms and 1m", c.every)
	}
	return nil
}

// collector measures for autoscalers.
func (n *node) collector() (*metrics.Collector, error) {
	return metrics.New(metrics.Config{Every: n.cfg.scale.every, Usage: loads{n.runtime}.usage}, n.store, n.log)
}

// loads gives the collector the runtime in its own words.
type loads struct{ r *noderuntime.Runtime }

func (l loads) usage(_ context.Context, pod *state.Record) ([]metrics.Use, error) {
	all, err := l.r.Loads(pod.UID)
	out := make([]metrics.Use, len(all))
	for i, c := range all {
		out[i] = metrics.Use{ID: c.ID, Name: c.Name, CPU: c.CPU, Memory: c.Memory, At: c.At}
	}
	return out, err
}
