package eventstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"

	"writ/api/worldstore"
)

// Events are those that the node tells.
type Events interface {
	// List gives those that were told after the one with a number, in the order of their numbers, and the number of the
	// last one, forgotten or not.
	List(after uint64) (told []Told, last uint64)
	// Changed is closed once one was told after the one with a number.
	Changed(after uint64) <-chan struct{}
}

// Store makes storages of events.
type Store struct {
	worldstore.ReadOnly
	events Events
	node   string
	first  uint64 // version of an event that was never told
}

// New makes one. began is when the events begin, which says what their versions are.
func New(events Events, node string, began time.Time) *Store {
	const perMilli = 1000 // events
	return &Store{events: events, node: node, first: uint64(began.UnixMilli()) * perMilli}
}

// resource is under which key events are.
const resource = "/events/"

// Options are those of upstream's registry of Events.
func (s *Store) Options() generic.RESTOptions {
	return worldstore.Options(api.Resource("events"), strings.TrimSuffix(resource, "/"), legacyscheme.Codecs.LegacyCodec(api.SchemeGroupVersion),
		func(string, func() runtime.Object) storage.Interface { return s })
}

var _ storage.Interface = (*Store)(nil)

// Stats is storage.Interface's, as is what follows.
func (s *Store) Stats(context.Context) (storage.Stats, error) {
	all, _ := s.events.List(0)
	return storage.Stats{ObjectCount: int64(len(all))}, nil
}

func (s *Store) RequestWatchProgress(context.Context) error { return nil }

func (s *Store) GetCurrentResourceVersion(context.Context) (uint64, error) { return s.version(), nil }

// version is that of a list of everything.
func (s *Store) version() uint64 {
	_, last := s.events.List(0)
	return s.first + last
}

// scope is the namespace and name of a key; either may be empty.
func scope(key string) (namespace, name string) {
	rest := strings.Trim(strings.TrimPrefix(key+"/", resource), "/")
	namespace, name, _ = strings.Cut(rest, "/")
	return namespace, name
}

func (s *Store) internal(t *Told) (*api.Event, error) {
	o, err := legacyscheme.Scheme.UnsafeConvertToVersion(object(t, s.first+t.Sequence, s.node), api.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	return o.(*api.Event), nil
}

func (s *Store) Get(_ context.Context, key string, o storage.GetOptions, into runtime.Object) error {
	all, _ := s.events.List(0)
	found, err := s.matching(all, key, &storage.Everything)
	switch {
	case err != nil:
		return err
	case len(found) > 0:
		*into.(*api.Event) = *found[0]
		return nil
	case o.IgnoreNotFound:
		return runtime.SetZeroValue(into)
	}
	return storage.NewKeyNotFoundError(key, 0)
}

// GetList gives the events by namespace and name. A list in chunks goes on in the events as they are then.
func (s *Store) GetList(_ context.Context, key string, o storage.ListOptions, into runtime.Object) error {
	_, after, err := storage.ValidateListOptions(resource, s.Versioner(), o)
	if err != nil {
		return err
	}
	all, last := s.events.List(0)
	version := s.first + last
	found, err := s.matching(all, key, &o.Predicate)
	if err != nil {
		return err
	}
	path := func(e *api.Event) string { return resource + e.Namespace + "/" + e.Name }
	slices.SortFunc(found, func(a, b *api.Event) int { return strings.Compare(path(a), path(b)) })
	list := into.(*api.EventList)
	list.Items = make([]api.Event, 0, len(found))
	for i, e := range found {
		if after != "" && path(e)+"\x00" <= after {
			continue
		}
		if limit := o.Predicate.Limit; limit > 0 && int64(len(list.Items)) == limit {
			before := &list.Items[limit-1]
			token, remaining, err := storage.PrepareContinueToken(path(before), resource, -1, int64(len(found)-i)+limit, true, o)
			if err != nil {
				return err
			}
			return s.Versioner().UpdateList(into, version, token, remaining)
		}
		list.Items = append(list.Items, *e)
	}
	return s.Versioner().UpdateList(into, version, "", nil)
}

// matching are the events of a key that a predicate wants.
func (s *Store) matching(told []Told, key string, p *storage.SelectionPredicate) ([]*api.Event, error) {
	namespace, name := scope(key)
	var found []*api.Event
	for i := range told {
		if namespace != "" && namespaceOf(&told[i]) != namespace {
			continue
		}
		e, err := s.internal(&told[i])
		if err != nil {
			return nil, err
		}
		if name != "" && e.Name != name {
			continue
		}
		if ok, err := p.Matches(e); err != nil {
			return nil, err
		} else if ok {
			found = append(found, e)
		}
	}
	return found, nil
}
