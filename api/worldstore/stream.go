package worldstore

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// Stream is a watch.Interface whose events one goroutine sends.
type Stream struct {
	result chan watch.Event
	done   chan struct{}
	stop   sync.Once
}

// NewStream makes one. Whoever sends closes it.
func NewStream() *Stream {
	return &Stream{result: make(chan watch.Event), done: make(chan struct{})}
}

// ResultChan is where the events come; it is closed at the end.
func (s *Stream) ResultChan() <-chan watch.Event { return s.result }

// Stop ends the watch.
func (s *Stream) Stop() { s.stop.Do(func() { close(s.done) }) }

// Stopped is closed once nobody wants an event any more.
func (s *Stream) Stopped() <-chan struct{} { return s.done }

// Close tells the client that nothing comes any more.
func (s *Stream) Close() { close(s.result) }

// Send is false when the watch is over.
func (s *Stream) Send(ctx context.Context, e watch.Event) bool {
	select {
	case s.result <- e:
		return true
	case <-s.done:
	case <-ctx.Done():
	}
	return false
}

// Bookmark says that everything up to a version was sent; the first one of a list by watch says that this was the list.
// object is an empty one of the watched kind.
func Bookmark(object runtime.Object, version uint64, first bool) watch.Event {
	err := storage.APIObjectVersioner{}.UpdateObject(object, version)
	if err == nil && first {
		err = storage.AnnotateInitialEventsEndBookmark(object)
	}
	if err != nil {
		return Failed(err)
	}
	return watch.Event{Type: watch.Bookmark, Object: object}
}

// Failed is the last event of a watch that cannot go on.
func Failed(err error) watch.Event {
	return watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(err).ErrStatus}
}
