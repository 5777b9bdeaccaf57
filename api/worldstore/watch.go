package worldstore

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"

	"writ/manifest"
	"writ/state"
)

// waiting is how many changes may wait for a watcher before it is dropped.
const waiting = 1024

// watcher sends a client what happens to the objects that it asked for.
type watcher struct {
	store     *store
	namespace string // empty for all
	name      string // empty for all
	predicate storage.SelectionPredicate
	from      state.Revision // what the client knows already

	input chan *event // from the hub, closed when the watcher has left it
	*Stream
}

// Watch follows one object, those of a namespace, or all.
func (s *store) Watch(ctx context.Context, key string, o storage.ListOptions) (watch.Interface, error) {
	w := &watcher{store: s, predicate: o.Predicate, input: make(chan *event, waiting), Stream: NewStream()}
	var err error
	if o.Recursive {
		w.namespace, err = s.namespace(key)
	} else {
		w.namespace, w.name, err = s.key(key)
	}
	if err != nil {
		return nil, err
	}
	version, err := s.Versioner().ParseResourceVersion(o.ResourceVersion)
	if err != nil {
		return nil, err
	}
	if _, err := s.notOlder(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	from, initial := start(version, o.SendInitialEvents)
	w.from = state.Revision(max(from, 0))
	changes, world, ok := s.hub.join(w, from)
	if !ok {
		return nil, apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%s)", version, world.Revision()))
	}
	end := o.SendInitialEvents != nil && *o.SendInitialEvents && o.Predicate.AllowWatchBookmarks
	go w.run(ctx, initial, end, changes, world)
	return w, nil
}

// start is the revision from which a watch goes on, -1 for the present, and whether the objects that are there come first.
func start(version uint64, sendInitial *bool) (from int64, initial bool) {
	switch {
	case sendInitial != nil:
		if *sendInitial || version == 0 {
			return -1, *sendInitial
		}
		return int64(version), false
	case version == 0: // upstream's older way: those that are there, then what happens
		return -1, true
	}
	return int64(version), false
}

// wants says whether a change is of an object that the client asked for.
func (w *watcher) wants(c *state.Change) bool {
	return (w.namespace == "" || w.namespace == c.Ref.Namespace) && (w.name == "" || w.name == c.Ref.Name)
}

func (w *watcher) run(ctx context.Context, initial, end bool, changes []state.Change, world *state.World) {
	defer w.Close()
	defer w.store.hub.leave(w)
	if initial && !w.initial(ctx, world) {
		return
	}
	if end && !w.Send(ctx, Bookmark(w.store.newItem(), uint64(world.Revision()), true)) {
		return
	}
	kind := w.store.kind
	for i := range changes {
		c := &changes[i]
		if c.Revision > world.Revision() { // it comes from the hub
			break
		}
		if c.Ref.Group == kind.Group && c.Ref.Kind == kind.Kind && w.wants(c) && !w.tell(ctx, &event{change: c, store: w.store}) {
			return
		}
	}
	for {
		select {
		case e, ok := <-w.input:
			if !ok || !w.tell(ctx, e) {
				return
			}
		case <-w.Stopped():
			return
		case <-ctx.Done():
			return
		}
	}
}

// initial sends the objects that are there.
func (w *watcher) initial(ctx context.Context, world *state.World) bool {
	if w.name != "" {
		r := world.Get(manifest.Ref{Group: w.store.kind.Group, Kind: w.store.kind.Kind, Namespace: w.namespace, Name: w.name})
		return r == nil || w.added(ctx, r)
	}
	for r := range w.store.candidates(world, w.namespace, &w.predicate) {
		if labelled(r, &w.predicate) && !w.added(ctx, r) {
			return false
		}
	}
	return true
}

func (w *watcher) added(ctx context.Context, r *state.Record) bool {
	return w.tell(ctx, &event{change: &state.Change{Ref: r.Ref, New: r, Revision: r.Revision}, store: w.store})
}

// tell sends what an event is for this watcher, if it is anything. It is false when the watch is over.
func (w *watcher) tell(ctx context.Context, e *event) bool {
	if e.change == nil {
		return w.Send(ctx, Bookmark(w.store.newItem(), uint64(max(e.bookmark, w.from)), false))
	}
	if e.change.Revision <= w.from { // the hub was behind when the watch began
		return true
	}
	told, err := w.told(e)
	switch {
	case err != nil:
		w.Send(ctx, Failed(err))
		return false
	case told == nil:
		return true
	}
	return w.Send(ctx, *told)
}

// told is an event as the predicate sees it: an object that comes to match is added, one that matches no more is
// deleted, as it was when it last matched.
func (w *watcher) told(e *event) (*watch.Event, error) {
	c := e.change
	before, err := w.matches(&e.old, e, c.Old)
	if err != nil {
		return nil, err
	}
	after, err := w.matches(&e.now, e, c.New)
	switch {
	case err != nil:
		return nil, err
	case after != nil && before != nil:
		return &watch.Event{Type: watch.Modified, Object: after}, nil
	case after != nil:
		return &watch.Event{Type: watch.Added, Object: after}, nil
	case before != nil:
		return &watch.Event{Type: watch.Deleted, Object: before}, nil
	}
	return nil, nil
}

// matches is what a record looks like if the predicate wants it, else nil.
func (w *watcher) matches(a *appearance, e *event, r *state.Record) (*encoded, error) {
	if r == nil {
		return nil, nil
	}
	object, err := a.at(e.store, r, e.change.Revision)
	if err != nil || w.predicate.Empty() {
		return object, err
	}
	if ok, err := w.predicate.Matches(object.object); err != nil || !ok {
		return nil, err
	}
	return object, nil
}
