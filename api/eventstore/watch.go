package eventstore

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	api "k8s.io/kubernetes/pkg/apis/core"

	"writ/api/worldstore"
)

// watcher sends a client the events that are told. It reads them at its own pace: what is forgotten meanwhile it misses.
type watcher struct {
	store *Store
	key   string
	p     storage.SelectionPredicate
	*worldstore.Stream
}

// Watch is storage.Interface's.
func (s *Store) Watch(ctx context.Context, key string, o storage.ListOptions) (watch.Interface, error) {
	version, err := s.Versioner().ParseResourceVersion(o.ResourceVersion)
	if err != nil {
		return nil, err
	}
	now := s.version()
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
	w := &watcher{store: s, key: key, p: o.Predicate, Stream: worldstore.NewStream()}
	bookmark := o.SendInitialEvents != nil && *o.SendInitialEvents && o.Predicate.AllowWatchBookmarks
	go w.run(ctx, after, bookmark)
	return w, nil
}

func (w *watcher) run(ctx context.Context, after uint64, bookmark bool) {
	defer w.Close()
	for {
		told, last := w.store.events.List(after)
		found, err := w.store.matching(told, w.key, &w.p)
		if err != nil {
			w.Send(ctx, worldstore.Failed(err))
			return
		}
		for _, e := range found {
			kind := watch.Added
			if e.Count > 1 {
				kind = watch.Modified
			}
			if !w.Send(ctx, watch.Event{Type: kind, Object: e}) {
				return
			}
		}
		after = last
		if bookmark {
			if bookmark = false; !w.Send(ctx, worldstore.Bookmark(&api.Event{}, w.store.first+after, true)) {
				return
			}
		}
		select {
		case <-w.store.events.Changed(after):
		case <-w.Stopped():
			return
		case <-ctx.Done():
			return
		}
	}
}
