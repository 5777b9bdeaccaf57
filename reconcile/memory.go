package reconcile

import (
	"time"

	"writ/manifest"
	"writ/state"
)

// Memory is what makes computing again cheap: which keys are due, when others will be, and the room
// on the nodes. It only ever saves work: a Plan made with it is the Plan made without.
//
// Learn must be told of every change, in order. It is not safe for use by several at once.
type Memory struct {
	options  Options
	capacity *capacity
	depends  dependents // nil like capacity
	all      bool       // every key is due
	due      map[Key]bool
	wakes    alarms
	notes    map[Key][]Note
	last     time.Time // of the clock on the wall, when it was looked at last
}

// NewMemory remembers nothing: its first Plan is a full computation.
func NewMemory(o Options) *Memory {
	m := &Memory{options: o}
	m.Forget()
	return m
}

// Forget makes the next Plan a full computation: after changes were missed, or a Plan was refused.
func (m *Memory) Forget() {
	m.capacity, m.depends, m.all = nil, nil, true
	m.due, m.wakes, m.notes = map[Key]bool{}, newAlarms(), map[Key][]Note{}
}

// SetSet tells the Set of the adopted commit, from which lost Pods are made again.
func (m *Memory) SetSet(set *manifest.Set) { m.options.Set = set }

// Learn takes in changes; w is the World after them. Those of the revision own were made by a Plan of
// this Memory, which has looked at what they wake already; zero for none.
func (m *Memory) Learn(w *state.World, changes []state.Change, own state.Revision) {
	if m.capacity != nil {
		m.capacity.update(changes)
	}
	if m.depends != nil {
		for i := range changes {
			m.depends.update(&changes[i])
		}
	}
	if m.all {
		return
	}
	due := func(k Key) { m.due[k] = true }
	for i := range changes {
		if own != 0 && changes[i].Revision == own {
			continue
		}
		m.depends.wake(changes[i].Ref, due)
		wakesOf(w, &changes[i], due)
	}
}

// Wake is when time alone makes a key due; zero is never.
func (m *Memory) Wake() time.Time { return m.wakes.first() }

// Notes are those of all keys, sorted.
func (m *Memory) Notes() []Note {
	var notes []Note
	for _, n := range m.notes {
		notes = append(notes, n...)
	}
	SortNotes(notes)
	return notes
}

// Due says that there is something to compute.
func (m *Memory) Due(now time.Time) bool {
	if m.all || len(m.due) > 0 {
		return true
	}
	wake := m.Wake()
	return !wake.IsZero() && !wake.After(now)
}

// Plan computes what is due.
func (m *Memory) Plan(w *state.World, now time.Time) (Plan, error) {
	d := m.draft(w, now)
	if w.Adopted().Commit == "" {
		return d.plan(), nil
	}
	m.queue(d)
	return d.run()
}

// Adopt is the function Adopt, at the cost of what the commit changes.
func (m *Memory) Adopt(w *state.World, set *manifest.Set, c Commit, now time.Time) (Plan, error) {
	if w.Adopted().Commit == "" || m.options.Set == nil {
		m.all = true
	}
	d := m.draft(w, now)
	d.set = set
	if err := d.take(c); err != nil {
		return Plan{}, err
	}
	m.queue(d)
	return d.run()
}

func (m *Memory) draft(w *state.World, now time.Time) *draft {
	if wall := now.Round(0); wall.Before(m.last) {
		m.Forget() // the clock was set back: what was reached by time alone may be ahead again
	}
	m.last = now.Round(0)
	if m.capacity == nil {
		m.capacity = newCapacity(w)
	}
	if m.depends == nil {
		m.depends = newDependents(w)
	}
	d := newDraft(w, now, m.options)
	d.capacity, d.depends = m.capacity, m.depends
	return d
}

func (m *Memory) queue(d *draft) {
	if m.all {
		d.addAll()
		return
	}
	for k := range m.due {
		d.queue.add(k)
	}
	m.wakes.over(d.now, d.queue.add)
}

// Keep takes over what a Plan found out, once its Batch is true (or was empty). A Plan that is not
// kept needs Forget: the Memory has reckoned with it.
func (m *Memory) Keep(p *Plan) {
	for k := range p.computed {
		m.wakes.drop(k)
		delete(m.notes, k)
	}
	for k, t := range p.Wakes {
		m.wakes.set(k, t)
	}
	for k, n := range p.Told {
		m.notes[k] = n
	}
	m.all = false
	clear(m.due)
}
