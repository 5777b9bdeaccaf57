package reconcile

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// Adopt plans a commit: the difference of its Set to the authored objects of the World, and everything
// that follows from it. The same commit may be adopted again; then only what is missing is put.
//
// Errors are Mistakes (the commit cannot take the place of what runs) or a Held (it would delete what
// was perhaps not meant). With an error nothing of the commit is done.
func Adopt(w *state.World, set *manifest.Set, c Commit, now time.Time, o Options) (Plan, error) {
	d := newDraft(w, now, o)
	d.set, d.depends = set, newDependents(w)
	if err := d.take(c); err != nil {
		return Plan{}, err
	}
	d.addAll()
	return d.run()
}

// take puts what the commit changes into the draft.
func (d *draft) take(c Commit) error {
	if s := d.set.Settings().Spec.Suspend; s.Active(d.now) && !c.Restored {
		d.suspend(s)
		return d.err
	}
	before := d.base.Adopted()
	again := before.Commit == c.Hash && before.Digest == d.set.Digest()
	d.adopt = adoption(d.base, d.set, c, d.now, again)
	diff, err := d.diff()
	if err != nil {
		return err
	}
	if err := d.guard(c, diff); err != nil {
		return err
	}
	if again && diff.empty() && equality.Semantic.DeepEqual(before.Settings, d.adopt.Settings) {
		d.adopt = nil
	}
	if c.Rewritten {
		d.events = append(d.events, rewritten(before, c, d.now))
	}
	d.carryOut(diff)
	d.keepReleases(c)
	return d.err
}

// suspend takes nothing of a commit but that adopting is suspended, and why.
func (d *draft) suspend(s *manifest.Suspend) {
	d.suspended, d.set = s, d.last
	a := d.base.Adopted()
	if a.Commit == "" || equality.Semantic.DeepEqual(a.Settings.Spec.Suspend, s) {
		return
	}
	a.Settings.Spec.Suspend = s
	d.adopt = &a
	d.move()
}

// rewritten tells that history which was adopted is no longer part of the branch.
func rewritten(before state.Adoption, c Commit, now time.Time) state.Event {
	return state.Event{
		Ref:  manifest.Ref{Group: "writ.dev", Kind: "Cluster", Name: "writ"},
		Type: corev1.EventTypeWarning, Reason: "BranchRewritten", Component: "reconcile", Count: 1, First: now, Last: now,
		Message: fmt.Sprintf("adopted %.7s, which does not follow %.7s: the branch was rewritten", c.Hash, before.Commit),
	}
}

func adoption(w *state.World, set *manifest.Set, c Commit, now time.Time, again bool) *state.Adoption {
	if again {
		a := w.Adopted()
		if !c.Restored {
			a.Settings = set.Settings()
		}
		return &a
	}
	return &state.Adoption{
		Commit: c.Hash, Tree: c.Tree, Digest: set.Digest(), Branch: c.Branch, Subject: c.Subject, Author: c.Author,
		Committed: c.Committed, Adopted: now, Settings: set.Settings(),
	}
}

// difference is what a commit changes of what is authored.
type difference struct {
	puts  []state.Put
	prune []*state.Record
	again []*state.Record // to be deleted first: it was going, and is declared
	ended []*state.Record // Pods to be replaced
	going []*state.Record // claims and volumes to be replaced
	// What cannot become what is written and is deleted for it, and of that what leaves its dependents behind.
	replaced []manifest.Ref
	orphaned []*state.Record
	held     int // authored objects that the World has
}

func (f *difference) empty() bool {
	return len(f.puts)+len(f.prune)+len(f.again)+len(f.ended)+len(f.going) == 0
}

func standsAuthored(r *state.Record) bool {
	return r.Origin == state.Authored || r.Origin == state.Restored
}

func (d *draft) diff() (*difference, error) {
	f := &difference{}
	var mistakes manifest.Mistakes
	for item := range d.set.All() {
		what, err := d.compare(f, item)
		if err != nil {
			return nil, err
		}
		for _, m := range what {
			mistakes = append(mistakes, manifest.Mistake{Source: item.Source, Ref: item.Ref, What: m})
		}
	}
	for r := range d.w.Records() {
		if !standsAuthored(r) {
			continue
		}
		f.held++
		if _, declared := d.set.Get(r.Ref); !declared && r.Deletion == nil && !r.HasFolder() {
			f.prune = append(f.prune, r)
		}
	}
	mistakes = append(mistakes, d.collisions(f)...)
	if len(mistakes) > 0 {
		mistakes.Sort()
		return nil, mistakes
	}
	return f, nil
}

// compare adds what an item changes to the difference, or says why it cannot take its object's place.
func (d *draft) compare(f *difference, item manifest.Item) (mistakes []string, err error) {
	r := d.w.Get(item.Ref)
	if r != nil && r.Deletion != nil && lingers(item.Ref) {
		return nil, nil // it ends first, and is made again then
	}
	if r != nil && r.Origin == state.Derived && r.Claim() != nil {
		f.going = append(f.going, r)
		return nil, nil
	}
	if r != nil && r.Origin == state.Authored && r.Deletion == nil && d.unchanged(item) && !classless(r) {
		return nil, nil
	}
	object, err := d.admitted(item, r)
	if err != nil {
		var refused manifest.Mistakes
		if errors.As(err, &refused) {
			return nil, err
		}
		return []string{err.Error()}, nil
	}
	put := state.Put{Ref: item.Ref, Object: object, Origin: state.Authored, Why: "declared in " + item.Source.Path}
	switch {
	case r == nil:
		put.Why = "new in " + item.Source.Path
		if pod, ok := object.(*corev1.Pod); ok {
			put.Status = pending(pod)
		}
	case r.Origin == state.Derived && item.Ref.Kind == "Pod" && r.Node != "":
		f.ended = append(f.ended, r) // nothing of it runs any more when the declared one is made
		return nil, nil
	case r.Deletion != nil || r.Origin == state.Derived && item.Ref.Kind != "Node" && d.claimOf(r) == nil:
		f.again = append(f.again, r)
	case r.Origin == state.Authored && sameObject(r.Object, object):
		return nil, nil
	case item.Ref.Kind == "Pod" && terminal(r):
		f.ended = append(f.ended, r) // the new one is made when nothing of this one is left
		return nil, nil
	default:
		put.Why = "changed in " + item.Source.Path
		if standsAuthored(r) {
			if mistakes = item.Hide(d.refusals(r, object)); len(mistakes) > 0 {
				return f.replace(r, put, mistakes), nil
			}
		}
	}
	f.puts = append(f.puts, put)
	return nil, nil
}

// unchanged says that the adopted commit declares the very same object, so that what the World holds
// came from it. It saves a comparison, as Load hands on the objects of files that did not change.
func (d *draft) unchanged(item manifest.Item) bool {
	if d.last == nil || d.last.Digest() != d.base.Adopted().Digest {
		return false
	}
	before, ok := d.last.Get(item.Ref)
	return ok && before.Object == item.Object
}

// admitted is the object of an item as the World holds it. r is the record in its place, or nil.
func (d *draft) admitted(item manifest.Item, r *state.Record) (manifest.Object, error) {
	switch o := item.Object.(type) {
	case *corev1.Pod:
		if r != nil && r.Pod() != nil {
			return admit.Keep(r.Pod(), d.podBefore(item.Ref), o), nil
		}
		return admit.Pod(d.declared(), o)
	case *corev1.PersistentVolumeClaim:
		if r != nil && r.Claim() != nil {
			return admit.KeepClaim(d.declared(), r, o), nil
		}
		return admit.Claim(d.declared(), o), nil
	case *corev1.Node:
		return d.withRange(cordoned(d.taintedSince(o, r)), nodeBits), nil
	}
	return item.Object, nil
}

// carryOut puts the difference into the draft.
func (d *draft) carryOut(f *difference) {
	var deletes []state.Delete
	puts := f.puts
	for _, r := range f.orphaned {
		d.orphan(r)
	}
	for _, r := range f.again {
		deletes = append(deletes, state.Delete{Ref: r.Ref, UID: r.UID, Why: "made again"})
	}
	for _, r := range f.going {
		puts = append(puts, state.Put{Ref: r.Ref, Deletion: &state.Deletion{At: d.now, Reason: "made again"}, Why: "made again"})
	}
	var ends []*state.Record
	for _, r := range f.prune {
		if manifest.Orphans(r.Object) {
			d.orphan(r)
		}
		switch {
		case builtin(r.Ref) != nil:
			puts = append(puts, state.Put{Ref: r.Ref, Object: d.builtin(r.Ref), Origin: state.Builtin, Why: "no longer declared"})
		case r.Ref.Kind == "Pod":
			ends = append(ends, r)
		case r.Ref.Kind == "Namespace", lingers(r.Ref):
			puts = append(puts, state.Put{Ref: r.Ref, Deletion: &state.Deletion{At: d.now, Reason: "no longer declared"}, Why: "no longer declared"})
		default:
			deletes = append(deletes, state.Delete{Ref: r.Ref, UID: r.UID, Why: "no longer declared"})
		}
	}
	if d.adopt != nil {
		d.move()
	}
	d.apply(deletes, puts)
	for _, r := range ends {
		d.end(r, "no longer declared")
	}
	for _, r := range f.ended {
		why := "its manifest changed"
		if r.Origin == state.Derived {
			why = "its name is declared"
		}
		d.end(r, why)
	}
}

// move makes the commit the adopted one, before any of its objects.
func (d *draft) move() {
	next, _, err := state.Apply(d.w, state.Batch{Writer: state.WriterReconcile, Base: d.base.Revision(), Now: d.now, Adopt: d.adopt}, d.w.Revision()+1)
	if err != nil {
		d.err = err
		return
	}
	d.w = next
}
