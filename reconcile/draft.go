package reconcile

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// draft is a World with what the Plan so far would add to it. Everything put is applied at once, with
// the base of the World, so that later concerns see it under its final identity.
type draft struct {
	options Options
	base    *state.World
	w       *state.World
	now     time.Time
	set     *manifest.Set // of the commit that is adopted or becomes so; nil while it is not known
	last    *manifest.Set // of the commit that was adopted before; nil if not known
	adopt   *state.Adoption
	// suspended is why nothing of the commit is adopted; nil if it is.
	suspended *manifest.Suspend

	puts    map[manifest.Ref]*state.Put
	deletes map[manifest.Ref]*state.Delete
	order   []manifest.Ref // of first touch

	queue    queue
	current  Key
	wakes    map[Key]time.Time
	notes    map[Key][]Note
	events   []state.Event
	capacity *capacity
	depends  dependents
	ips      *addresses
	preview  *state.World           // see declared
	taken    []string               // see ranges
	stored   map[templateKey][]byte // see versions.data
	err      error
}

func newDraft(w *state.World, now time.Time, o Options) *draft {
	return &draft{
		options: o, base: w, w: w, now: now, set: o.Set, last: o.Set,
		puts: map[manifest.Ref]*state.Put{}, deletes: map[manifest.Ref]*state.Delete{},
		queue: newQueue(), wakes: map[Key]time.Time{}, notes: map[Key][]Note{},
	}
}

// stamp is now as statuses carry it.
func (d *draft) stamp() metav1.Time { return state.Stamp(d.now) }

// put states facts. Facts of an existing object get its UID, so that they never meet another.
func (d *draft) put(puts ...state.Put) { d.apply(nil, puts) }

// delete removes objects.
func (d *draft) delete(r *state.Record, why string) {
	d.apply([]state.Delete{{Ref: r.Ref, UID: r.UID, Why: why}}, nil)
}

func (d *draft) apply(deletes []state.Delete, puts []state.Put) {
	if d.err != nil || len(deletes)+len(puts) == 0 {
		return
	}
	fresh := make([]state.Put, len(puts))
	for i, p := range puts {
		if r := d.w.Get(p.Ref); r != nil && p.UID == "" && !deletedIn(deletes, p.Ref) {
			p.UID = r.UID
		}
		fresh[i] = p
	}
	b := state.Batch{
		Writer: state.WriterReconcile, Base: d.base.Revision(), Now: d.now, Deletes: deletes, Puts: fresh,
	}
	if d.adopt != nil && authored(d.w, deletes, puts) {
		b.Adopt = d.adopt
	}
	next, changes, err := state.Apply(d.w, b, d.w.Revision()+1)
	if err != nil {
		d.err = fmt.Errorf("draft for %s: %w", d.current, err)
		return
	}
	d.w = next
	d.record(deletes, puts)
	d.changed(changes)
}

// authored says that a Batch needs an adoption to carry it.
func authored(w *state.World, deletes []state.Delete, puts []state.Put) bool {
	for i := range puts {
		if puts[i].Object != nil && puts[i].Origin == state.Authored {
			return true
		}
	}
	for i := range deletes {
		if r := w.Get(deletes[i].Ref); r != nil && r.Origin == state.Authored {
			return true
		}
	}
	return false
}

func deletedIn(deletes []state.Delete, ref manifest.Ref) bool {
	for i := range deletes {
		if deletes[i].Ref == ref {
			return true
		}
	}
	return false
}

// changed wakes whom the changes concern and keeps the picture of the nodes true.
func (d *draft) changed(changes []state.Change) {
	if d.capacity != nil {
		d.capacity.update(changes)
	}
	for i := range changes {
		if d.ips != nil && changes[i].Ref.Kind == "Service" {
			d.ips.update(changes[i])
		}
		d.depends.update(&changes[i])
		d.depends.wake(changes[i].Ref, d.queue.add)
		wakesOf(d.w, &changes[i], d.queue.add)
	}
}

func (d *draft) record(deletes []state.Delete, puts []state.Put) {
	for i := range deletes {
		del := deletes[i]
		d.touch(del.Ref)
		delete(d.puts, del.Ref)
		if old := d.base.Get(del.Ref); old != nil && d.deletes[del.Ref] == nil {
			del.UID = old.UID
			d.deletes[del.Ref] = &del
		}
	}
	for i := range puts {
		p := puts[i]
		d.touch(p.Ref)
		if before := d.puts[p.Ref]; before != nil {
			merge(before, p)
			continue
		}
		if old := d.base.Get(p.Ref); old != nil && d.deletes[p.Ref] == nil {
			p.UID = old.UID
		}
		d.puts[p.Ref] = &p
	}
}

func (d *draft) touch(ref manifest.Ref) {
	if d.puts[ref] == nil && d.deletes[ref] == nil {
		d.order = append(d.order, ref)
	}
}

// merge adds later facts to earlier ones of the same object.
func merge(into *state.Put, p state.Put) {
	if p.Object != nil {
		into.Object, into.Origin = p.Object, p.Origin
	}
	if p.Node != "" {
		into.Node = p.Node
	}
	if p.Deletion != nil {
		into.Deletion = p.Deletion
	}
	if p.Allocation != nil {
		into.Allocation = p.Allocation
	}
	if p.Status != nil {
		into.Status = p.Status
	}
	if p.Annotations != nil {
		into.Annotations = p.Annotations
	}
	if p.Scaling != nil {
		into.Scaling = p.Scaling
	}
	if p.Controller != nil {
		into.Controller = p.Controller
	}
	if p.Why != "" && !strings.Contains(into.Why, p.Why) {
		if into.Why != "" {
			into.Why += "; "
		}
		into.Why += p.Why
	}
}

// batch is everything of the draft, each object once. What ended as it was is left out.
func (d *draft) batch() state.Batch {
	b := state.Batch{Writer: state.WriterReconcile, Base: d.base.Revision(), Adopt: d.adopt, Now: d.now, Commit: d.base.Adopted().Commit}
	for _, ref := range dedupe(d.order) {
		if del := d.deletes[ref]; del != nil {
			b.Deletes = append(b.Deletes, *del)
		}
		if p := d.puts[ref]; p != nil && !d.idle(p) {
			b.Puts = append(b.Puts, *p)
		}
	}
	return b
}

func dedupe(refs []manifest.Ref) []manifest.Ref {
	seen := make(map[manifest.Ref]bool, len(refs))
	kept := refs[:0:0]
	for _, r := range refs {
		if !seen[r] {
			seen[r] = true
			kept = append(kept, r)
		}
	}
	return kept
}

// idle says that a Put states only what the World holds already, and drops the facts that do.
func (d *draft) idle(p *state.Put) bool {
	old := d.base.Get(p.Ref)
	if old == nil || d.deletes[p.Ref] != nil {
		return false
	}
	if p.Object != nil && p.Origin == old.Origin && sameObject(p.Object, old.Object) {
		p.Object, p.Origin = nil, 0
	}
	if p.Status != nil && equality.Semantic.DeepEqual(p.Status, old.Status) {
		p.Status = nil
	}
	if p.Allocation != nil && equality.Semantic.DeepEqual(p.Allocation, old.Allocation) {
		p.Allocation = nil
	}
	if maps.Equal(p.Annotations, old.Annotations) {
		p.Annotations = nil
	}
	if p.Node == old.Node {
		p.Node = ""
	}
	if p.Scaling.Equal(old.Scaling) {
		p.Scaling = nil
	}
	if p.Controller != nil && (p.Controller.None() && old.Controller == nil || old.Controller != nil && *p.Controller == *old.Controller) {
		p.Controller = nil
	}
	return p.Controller == nil && p.Scaling == nil && p.Object == nil && p.Status == nil && p.Allocation == nil && p.Node == "" && p.Deletion == nil && p.Annotations == nil
}

func sameObject(a, b manifest.Object) bool { return a == b || equality.Semantic.DeepEqual(a, b) }

// setStatus puts a computed status if it differs from what the World holds.
func (d *draft) setStatus(r *state.Record, s state.Status, why string) {
	if r.Status != nil && equality.Semantic.DeepEqual(r.Status, s) {
		return
	}
	d.put(state.Put{Ref: r.Ref, Status: s, Why: why})
}

// later asks to look at the current key again at t.
func (d *draft) later(t time.Time) {
	if before, ok := d.wakes[d.current]; !ok || t.Before(before) {
		d.wakes[d.current] = t
	}
}

// note keeps a line for people about an object.
func (d *draft) note(ref manifest.Ref, field, what string) {
	d.notes[d.current] = append(d.notes[d.current], Note{Ref: ref, Field: field, What: what})
}

func (d *draft) event(r *state.Record, kind, reason, component, format string, args ...any) {
	e := state.Event{
		Ref: r.Ref, UID: r.UID, Type: kind, Reason: reason, Component: component,
		Message: fmt.Sprintf(format, args...), Count: 1, First: d.now, Last: d.now,
	}
	d.events = append(d.events, e)
}
