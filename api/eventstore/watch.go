package eventstore

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	api "k8s.io/kubernetes/pkg/apis/core"
)

// watcher sends a client the events that are told. It reads them at its own pace: what is forgotten meanwhile it misses.
type watcher struct {
	store  *Store
	key    string
	p      storage.SelectionPredicate
	result chan watch.Event
	done   chan struct{}
	stop   sync.Once
}

// Watch is storage.Interface's.
func (s *Store) Watch(ctx context.Context, key string, o storage.ListOptions) (watch.Interface, error) {
	version, err := s.Versioner().ParseResourceVersion(o.ResourceVersion)
	if err != nil {
		return nil, err
	}
	now := s.version(s.events.List(0))
	if version > now {
		return nil, storage.NewTooLargeResourceVersionError(version, now, 1)
	}
	if version != 0 && version < s.first {
		return nil, apierrors.NewResourceExpired("the events of an earlier daemon are gone")
	}
	all := o.SendInitialEvents != nil && *o.SendInitialEvents || version == 0 && o.SendInitialEvents == nil
	after := uint64(0)
	switch {
	case all:
	case version == 0:
		after = now - s.first
	default:
		after = version - s.first
	}
	w := &watcher{store: s, key: key, p: o.Predicate, result: make(chan watch.Event), done: make(chan struct{})}
	bookmark := o.SendInitialEvents != nil && *o.SendInitialEvents && o.Predicate.AllowWatchBookmarks
	go w.run(ctx, after, bookmark)
	return w, nil
}

func (w *watcher) ResultChan() <-chan watch.Event { return w.result }

func (w *watcher) Stop() { w.stop.Do(func() { close(w.done) }) }

func (w *watcher) run(ctx context.Context, after uint64, bookmark bool) {
	defer close(w.result)
	for {
		told := w.store.events.List(after)
		found, err := w.store.matching(told, w.key, &w.p)
		if err != nil {
			w.send(ctx, watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(err).ErrStatus})
			return
		}
		for _, e := range found {
			kind := watch.Added
			if e.Count > 1 {
				kind = watch.Modified
			}
			if !w.send(ctx, watch.Event{Type: kind, Object: e}) {
				return
			}
		}
		if len(told) > 0 {
			after = told[len(told)-1].Sequence
		}
		if bookmark {
			if bookmark = false; !w.send(ctx, w.listed(after)) {
				return
			}
		}
		select {
		case <-w.store.events.Changed(after):
		case <-w.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// listed says that what was sent are all events that there are.
func (w *watcher) listed(after uint64) watch.Event {
	e := &api.Event{}
	err := w.store.Versioner().UpdateObject(e, w.store.first+after)
	if err == nil {
		err = storage.AnnotateInitialEventsEndBookmark(e)
	}
	if err != nil {
		return watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(err).ErrStatus}
	}
	return watch.Event{Type: watch.Bookmark, Object: e}
}

func (w *watcher) send(ctx context.Context, e watch.Event) bool {
	select {
	case w.result <- e:
		return true
	case <-w.done:
	case <-ctx.Done():
	}
	return false
}
