package state

import (
	"bytes"
	"fmt"
	"time"

	"github.com/google/uuid"
	iradix "github.com/hashicorp/go-immutable-radix/v2"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
)

// Apply makes the next World. The Batch becomes true as a whole or, with an error, not at all; w is
// never changed. at is the revision given to the Batch and must be above the World's.
// The changes come in the order of the Batch, one for each object touched.
//
// Errors wrap ErrMoved where computing again on the current World may help; others are faults of the writer.
func Apply(w *World, b Batch, at Revision) (*World, []Change, error) {
	if at <= w.revision {
		return nil, nil, fmt.Errorf("apply batch of %s: revision %s is not above %s", b.Writer, at, w.revision)
	}
	if b.Commit != "" && b.Commit != w.adopted.Commit {
		return nil, nil, fmt.Errorf("apply batch of %s: it rests on commit %.12s, adopted is %.12s: %w", b.Writer, b.Commit, w.adopted.Commit, ErrMoved)
	}
	if err := checkWriter(b); err != nil {
		return nil, nil, err
	}
	t := begin(w, b, at)
	for i := range b.Deletes {
		if err := t.delete(&b.Deletes[i]); err != nil {
			return nil, nil, err
		}
	}
	for i := range b.Puts {
		if err := t.put(&b.Puts[i]); err != nil {
			return nil, nil, err
		}
	}
	return t.commit()
}

// transaction is the next World in the making.
type transaction struct {
	w       *World
	b       Batch
	at      Revision
	records *iradix.Txn[*Record]
	byOwner *iradix.Txn[manifest.Ref]
	byNode  *iradix.Txn[manifest.Ref]
	byLabel *iradix.Txn[manifest.Ref]
	changes []Change
	touched map[manifest.Ref]int // index in changes
}

func begin(w *World, b Batch, at Revision) *transaction {
	return &transaction{
		w: w, b: b, at: at,
		records: w.records.Txn(), byOwner: w.byOwner.Txn(), byNode: w.byNode.Txn(), byLabel: w.byLabel.Txn(),
		touched: make(map[manifest.Ref]int, len(b.Puts)+len(b.Deletes)),
	}
}

func (t *transaction) commit() (*World, []Change, error) {
	next := &World{
		cluster: t.w.cluster, revision: t.at, adopted: t.w.adopted, history: t.w.history,
		records: t.records.Commit(), byOwner: t.byOwner.Commit(), byNode: t.byNode.Commit(), byLabel: t.byLabel.Commit(),
	}
	if t.b.Adopt != nil {
		next.adopted = *t.b.Adopt
		next.adopted.Revision = t.at
		next.history = remember(t.w.history, next.adopted)
	}
	kept := t.changes[:0]
	for _, c := range t.changes {
		if c.Old != nil || c.New != nil { // made and removed in one Batch: nothing happened
			kept = append(kept, c)
		}
	}
	return next, kept, nil
}

// remember adds an adoption to the history. Adopting the same commit again is no new entry.
func remember(history []Adoption, a Adoption) []Adoption {
	if n := len(history); n > 0 && history[n-1].Commit == a.Commit {
		history = history[:n-1]
	}
	from := max(0, len(history)+1-HistoryLimit)
	next := make([]Adoption, 0, len(history)-from+1)
	return append(append(next, history[from:]...), a)
}

func (t *transaction) delete(d *Delete) error {
	old, ok := t.records.Get(recordKey(d.Ref))
	if !ok || d.UID != "" && d.UID != old.UID {
		return fmt.Errorf("delete %s: no such object with uid %q: %w", d.Ref, d.UID, ErrMoved)
	}
	if old.declared() && t.b.Adopt == nil && old.Deletion == nil {
		return fmt.Errorf("delete %s: only an adoption deletes what is %s", d.Ref, old.Origin)
	}
	t.set(old, nil)
	return nil
}

func (t *transaction) put(p *Put) error {
	old, ok := t.records.Get(recordKey(p.Ref))
	if ok && p.UID != "" && p.UID != old.UID || !ok && p.Object == nil {
		if t.b.Writer != WriterReconcile {
			return nil // what was observed of an object that is gone is of no use to anybody
		}
		return fmt.Errorf("put %s: no such object with uid %q: %w", p.Ref, p.UID, ErrMoved)
	}
	if p.Object != nil && t.b.Adopt == nil {
		if p.Origin == Authored {
			return fmt.Errorf("put %s: only an adoption puts what is authored", p.Ref)
		}
		if ok && old.declared() && p.Origin != old.Origin {
			return fmt.Errorf("put %s: only an adoption takes over what is %s", p.Ref, old.Origin)
		}
	}
	if ok && !mayObserve(t.b.Writer, old) {
		return nil // bound elsewhere: the node that it is on knows
	}
	if p.Status != nil && statusNumber(p.Status) == 0 {
		return fmt.Errorf("put %s: a status of type %T cannot be stored", p.Ref, p.Status)
	}
	var next Record
	if ok {
		next = *old
	} else {
		next = t.born(p)
	}
	t.fill(&next, old, p)
	next.Revision = t.at
	t.set(old, &next)
	return nil
}

// born is the record of an object that was not there.
func (t *transaction) born(p *Put) Record {
	r := Record{Ref: p.Ref, UID: p.UID, Created: p.Created, Generation: p.Generation}
	if r.UID == "" {
		r.UID = UIDOf(t.w.cluster, p.Ref, t.b.Base)
	}
	if r.Created.IsZero() {
		r.Created = t.b.Now.Truncate(time.Second)
	}
	if r.Generation == 0 && hasGeneration(p.Ref) {
		r.Generation = 1
	}
	return r
}

func (t *transaction) fill(next, old *Record, p *Put) {
	if p.Object != nil {
		if old != nil && hasGeneration(p.Ref) && !SameSpec(old.Object, p.Object) {
			next.Generation++
		}
		next.Object, next.Origin = p.Object, p.Origin
		next.Commit = t.w.adopted.Commit
		if t.b.Adopt != nil {
			next.Commit = t.b.Adopt.Commit
		}
		if p.Origin == Builtin {
			next.Commit = ""
		}
	}
	if p.Node != "" {
		next.Node = p.Node
	}
	if p.Deletion != nil {
		next.Deletion = sooner(next.Deletion, *p.Deletion, t.at)
	}
	if p.Allocation != nil {
		next.Allocation = p.Allocation
	}
	if p.Status != nil {
		next.Status = p.Status
	}
	if p.Annotations != nil {
		next.Annotations = p.Annotations
	}
	if p.Controller != nil {
		next.Controller = p.Controller.controlled()
	}
	if p.Metrics != nil {
		next.Metrics = p.Metrics
	}
	if p.Scaling != nil {
		next.Scaling = p.Scaling
	}
	if p.Routed > next.Routed {
		next.Routed = p.Routed
	}
}

// sooner is a deletion decided again, which may only shorten the grace.
func sooner(old *Deletion, next Deletion, at Revision) *Deletion {
	if old != nil {
		if next.Deadline().After(old.Deadline()) {
			return old
		}
		next.Revision = old.Revision
	}
	if next.Revision == 0 {
		next.Revision = at
	}
	return &next
}

// set replaces a record and moves its index entries. next nil removes it.
func (t *transaction) set(old, next *Record) {
	ref := refOf(old, next)
	if next == nil {
		t.records.Delete(recordKey(ref))
	} else {
		t.records.Insert(recordKey(ref), next)
	}
	t.reindex(old, next)
	i, ok := t.touched[ref]
	if !ok {
		i = len(t.changes)
		t.touched[ref] = i
		t.changes = append(t.changes, Change{Ref: ref, Old: old, Revision: t.at})
	}
	t.changes[i].New = next
}

func refOf(old, next *Record) manifest.Ref {
	if next != nil {
		return next.Ref
	}
	return old.Ref
}

func (t *transaction) reindex(old, next *Record) {
	if old != nil && next != nil && old.Object == next.Object && old.Node == next.Node && old.Controller == next.Controller {
		return // only facts that no index is about
	}
	ref := refOf(old, next)
	was, is := keysOf(old), keysOf(next)
	move(t.byOwner, ref, was.owner, is.owner)
	move(t.byNode, ref, was.node, is.node)
	for _, k := range was.labels {
		t.byLabel.Delete(k)
	}
	for _, k := range is.labels {
		t.byLabel.Insert(k, ref)
	}
}

func move(index *iradix.Txn[manifest.Ref], ref manifest.Ref, was, is []byte) {
	if bytes.Equal(was, is) {
		return
	}
	if was != nil {
		index.Delete(was)
	}
	if is != nil {
		index.Insert(is, ref)
	}
}

// UIDOf is the identity of an object first computed on the World of revision base: a UUIDv5, so that
// equal decisions give equal identities and an object that is deleted and made again has a new one.
func UIDOf(cluster uuid.UUID, ref manifest.Ref, base Revision) types.UID {
	name := string(recordKey(ref)) + base.String()
	return types.UID(uuid.NewSHA1(cluster, []byte(name)).String())
}

// WithRevision is w at a later revision, with nothing else changed: the first World of an epoch.
func WithRevision(w *World, at Revision) *World {
	next := *w
	next.revision = max(at, w.revision)
	return &next
}
