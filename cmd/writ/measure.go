package main

import (
	"context"
	"time"

	"writ/api/resourcemetrics"
	"writ/runtime/usage"
	"writ/state"
)

// measured gives the API what pods and the node use.
type measured struct{ n *node }

func (m measured) Pod(_ context.Context, pod *state.Record) ([]resourcemetrics.Use, error) {
	all, err := m.n.runtime.Loads(pod.UID)
	uses := make([]resourcemetrics.Use, len(all))
	for i, c := range all {
		uses[i] = resourcemetrics.Use{ID: c.ID, Name: c.Name, CPU: c.CPU, Memory: c.Memory, At: c.At}
	}
	return uses, err
}

func (m measured) Node(context.Context) (resourcemetrics.Use, error) {
	busy, err := usage.CPU()
	if err != nil {
		return resourcemetrics.Use{}, err
	}
	memory, err := usage.Memory()
	return resourcemetrics.Use{ID: m.n.cfg.node, CPU: busy, Memory: memory.Capacity - memory.Available, At: time.Now()}, err
}
