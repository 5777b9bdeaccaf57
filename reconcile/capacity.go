package reconcile

import (
	"writ/manifest"
	"writ/schedule"
	"writ/state"
)

// capacity is what placement needs to know of the whole cluster: the room on the nodes and the Pods
// that wait or have ended. It is kept up to date by changes, so that one Pod does not cost a look at all.
type capacity struct {
	nodes   *schedule.Index
	waiting map[manifest.Ref]bool
	ended   littering
}

func newCapacity(w *state.World) *capacity {
	c := &capacity{nodes: schedule.NewIndex(w), waiting: map[manifest.Ref]bool{}}
	for r := range w.Pods("") {
		if r.Node == "" {
			c.waiting[r.Ref] = true
		}
		c.ended.set(r.Ref, r)
	}
	return c
}

func (c *capacity) update(changes []state.Change) {
	c.nodes.Update(changes)
	for i := range changes {
		ch := &changes[i]
		if ch.Ref.Kind != "Pod" || ch.Ref.Group != "" {
			continue
		}
		if ch.New != nil && ch.New.Node == "" {
			c.waiting[ch.Ref] = true
		} else {
			delete(c.waiting, ch.Ref)
		}
		c.ended.set(ch.Ref, ch.New)
	}
}
