package eventstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
)

// Events are those that the node tells.
type Events interface {
	// List gives those that were told after the one with a number, in the order of their numbers.
	List(after uint64) []Told
	// Changed is closed once one was told after the one with a number.
	Changed(after uint64) <-chan struct{}
}

// Store makes storages of events.
type Store struct {
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
	config := &storagebackend.Config{Codec: legacyscheme.Codecs.LegacyCodec(api.SchemeGroupVersion)}
	return generic.RESTOptions{
		StorageConfig: config.ForResource(api.Resource("events")), ResourcePrefix: strings.TrimSuffix(resource, "/"),
		Decorator: func(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object, func() runtime.Object,
			storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
			return s, func() {}, nil
		},
	}
}

var _ storage.Interface = (*Store)(nil)

var errReadOnly = errors.New("events are told by the cluster itself")

// Versioner is storage.Interface's, as is what follows.
func (s *Store) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func (s *Store) Create(context.Context, string, runtime.Object, runtime.Object, uint64) error {
	return errReadOnly
}

func (s *Store) Delete(context.Context, string, runtime.Object, *storage.Preconditions, storage.ValidateObjectFunc, runtime.Object, storage.DeleteOptions) error {
	return errReadOnly
}

func (s *Store) GuaranteedUpdate(context.Context, string, runtime.Object, bool, *storage.Preconditions, storage.UpdateFunc, runtime.Object) error {
	return errReadOnly
}

func (s *Store) Stats(context.Context) (storage.Stats, error) {
	return storage.Stats{ObjectCount: int64(len(s.events.List(0)))}, nil
}

func (s *Store) ReadinessCheck() error { return nil }

func (s *Store) RequestWatchProgress(context.Context) error { return nil }

func (s *Store) GetCurrentResourceVersion(context.Context) (uint64, error) {
	return s.version(s.events.List(0)), nil
}

func (s *Store) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }

func (s *Store) CompactRevision() int64 { return 0 }

// version is that of a list of everything.
func (s *Store) version(all []Told) uint64 {
	if len(all) == 0 {
		return s.first
	}
	return s.first + all[len(all)-1].Sequence
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
	namespace, name := scope(key)
	all := s.events.List(0)
	for i := range all {
		if e, err := s.internal(&all[i]); err != nil {
			return err
		} else if e.Namespace == namespace && e.Name == name {
			*into.(*api.Event) = *e
			return nil
		}
	}
	if o.IgnoreNotFound {
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
	all := s.events.List(0)
	version := s.version(all)
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
			last := &list.Items[limit-1]
			token, remaining, err := storage.PrepareContinueToken(path(last), resource, -1, int64(len(found)-i)+limit, true, o)
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
		e, err := s.internal(&told[i])
		if err != nil {
			return nil, err
		}
		if namespace != "" && e.Namespace != namespace || name != "" && e.Name != name {
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
