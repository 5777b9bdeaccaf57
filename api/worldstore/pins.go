package worldstore

import (
	"slices"
	"sync"
	"time"

	"writ/state"
)

// Worlds that lists in chunks hold: as many as this, each as long as this after a chunk of it was asked for.
const (
	pinsMost = 16
	pinsTime = 5 * time.Minute
)

// pins hold Worlds for lists in chunks. A World that is held takes what it does not share with the present one.
type pins struct {
	now func() time.Time

	mu    sync.Mutex
	held  []pin // first held first
	armed bool  // expire will be called
}

type pin struct {
	world *state.World
	until time.Time
}

func newPins(now func() time.Time) *pins { return &pins{now: now} }

func (p *pins) hold(w *state.World) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tidy(w.Revision())
	if len(p.held) == pinsMost {
		p.held = slices.Delete(p.held, 0, 1)
	}
	p.held = append(p.held, pin{w, p.now().Add(pinsTime)})
	p.arm()
}

// get is the World of a revision, nil if it is not held.
func (p *pins) get(revision state.Revision) *state.World {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tidy(0)
	for _, held := range p.held {
		if held.world.Revision() == revision {
			return held.world
		}
	}
	return nil
}

// tidy lets go what is over, and the World of a revision.
func (p *pins) tidy(revision state.Revision) {
	now := p.now()
	p.held = slices.DeleteFunc(p.held, func(h pin) bool { return h.world.Revision() == revision || now.After(h.until) })
}

// expire lets go what nobody asks for any more, until nothing is held.
func (p *pins) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	p.tidy(0)
	p.arm()
}

func (p *pins) arm() {
	if !p.armed && len(p.held) > 0 {
		p.armed = true
		time.AfterFunc(p.held[0].until.Sub(p.now())+time.Second, p.expire)
	}
}
