package worldstore

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"

	"writ/manifest"
	"writ/state"
)

// Feed is where Worlds come from.
type Feed interface {
	World() *state.World
	// Since is what happened after a revision; false if that is too long ago, or has not come yet.
	Since(state.Revision) ([]state.Change, *state.World, bool)
	// Changed is closed once the World is newer than a revision.
	Changed(state.Revision) <-chan struct{}
}

// Joined adds to an object what is no part of its record: where it is written. It is called with an object of
// the caller's own.
type Joined func(*state.Record, manifest.Object)

// Stores makes the storages of one server.
type Stores struct {
	feed Feed
	join Joined
	hub  *hub
	pins *pins
}

// New makes them. The watches end when ctx does.
func New(ctx context.Context, feed Feed, join Joined) *Stores {
	return &Stores{feed: feed, join: join, hub: newHub(ctx, feed), pins: newPins(time.Now)}
}

// Kind is what a resource is called in the World.
type Kind struct {
	schema.GroupKind
	Scheme *runtime.Scheme // of its types, the internal ones among them
	Codec  runtime.Codec   // reads and writes the stored version
}

// Options are those of one resource, for upstream's registry.
func (s *Stores) Options(resource schema.GroupResource, kind Kind) generic.RESTOptions {
	return Options(resource, "/"+resource.String(), kind.Codec, func(prefix string, newItem func() runtime.Object) storage.Interface {
		return &store{Stores: s, kind: kind, prefix: prefix + "/", newItem: newItem}
	})
}

// store is the storage of one resource.
type store struct {
	ReadOnly
	*Stores
	kind    Kind
	prefix  string // of keys, with a slash behind it
	newItem func() runtime.Object
}

var _ storage.Interface = (*store)(nil)

func (s *store) Stats(context.Context) (storage.Stats, error) {
	var stats storage.Stats
	for range s.feed.World().List(s.kind.Group, s.kind.Kind, "") {
		stats.ObjectCount++
	}
	return stats, nil
}

func (s *store) RequestWatchProgress(context.Context) error {
	s.hub.progress()
	return nil
}

func (s *store) GetCurrentResourceVersion(context.Context) (uint64, error) {
	return uint64(s.feed.World().Revision()), nil
}

// key is what upstream's keys say: the namespace and name of an object, or the namespace of a list.
func (s *store) key(key string) (namespace, name string, err error) {
	rest, ok := strings.CutPrefix(key+"/", s.prefix)
	if !ok {
		return "", "", fmt.Errorf("key %q is not of %s", key, s.prefix)
	}
	rest = strings.Trim(rest, "/")
	before, after, both := strings.Cut(rest, "/")
	if !both {
		return "", before, nil
	}
	return before, after, nil
}

// ref is the object of a key.
func (s *store) ref(key string) (manifest.Ref, error) {
	namespace, name, err := s.key(key)
	return manifest.Ref{Group: s.kind.Group, Kind: s.kind.Kind, Namespace: namespace, Name: name}, err
}

// namespace is that of a list's key, empty for all.
func (s *store) namespace(key string) (string, error) {
	_, namespace, err := s.key(key)
	return namespace, err
}

// internal is a record as upstream's registries want it: an object of the caller's own, of the internal version.
func (s *store) internal(r *state.Record) (runtime.Object, error) {
	return s.kind.convert(s.full(r))
}

func (s *store) full(r *state.Record) manifest.Object {
	full := r.Full()
	if set, ok := full.(*appsv1.ReplicaSet); ok {
		asDeclared(set)
	}
	if s.join != nil {
		s.join(r, full)
	}
	return full
}

// asDeclared shows a ReplicaSet's template as its Deployment declares it, by which clients find the newest one: which
// copies of its configuration it reads is an annotation of the ReplicaSet itself.
func asDeclared(set *appsv1.ReplicaSet) {
	pinned, ok := set.Spec.Template.Annotations[state.PinnedConfigAnnotation]
	if !ok {
		return
	}
	if delete(set.Spec.Template.Annotations, state.PinnedConfigAnnotation); len(set.Spec.Template.Annotations) == 0 {
		set.Spec.Template.Annotations = nil
	}
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	set.Annotations[state.PinnedConfigAnnotation] = pinned
}

// applied adds what kubectl compares a manifest with: what was applied last is what is written. It is shown of an object that
// is asked for by name, as kubectl does, and of no list, which would be twice as long.
func applied(r *state.Record, full manifest.Object) error {
	if r.Origin != state.Authored {
		return nil
	}
	written, err := json.Marshal(r.Object)
	if err != nil {
		return err
	}
	annotations := full.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[corev1.LastAppliedConfigAnnotation] = string(written)
	full.SetAnnotations(annotations)
	return nil
}

func (k *Kind) convert(full manifest.Object) (runtime.Object, error) {
	if _, ok := full.(runtime.Unstructured); ok {
		return full, nil
	}
	return k.Scheme.UnsafeConvertToVersion(full, schema.GroupVersion{Group: k.Group, Version: runtime.APIVersionInternal})
}

func (s *store) Get(ctx context.Context, key string, o storage.GetOptions, into runtime.Object) error {
	ref, err := s.ref(key)
	if err != nil {
		return err
	}
	w, err := s.notOlder(ctx, o.ResourceVersion)
	if err != nil {
		return err
	}
	r := w.Get(ref)
	if r == nil {
		if o.IgnoreNotFound {
			return runtime.SetZeroValue(into)
		}
		return storage.NewKeyNotFoundError(key, int64(w.Revision()))
	}
	full := s.full(r)
	if err := applied(r, full); err != nil {
		return err
	}
	object, err := s.kind.convert(full)
	if err != nil {
		return err
	}
	return set(into, object)
}

// set makes one object the other.
func set(into, from runtime.Object) error {
	if u, ok := into.(runtime.Unstructured); ok {
		u.SetUnstructuredContent(from.(runtime.Unstructured).UnstructuredContent())
		return nil
	}
	to, of := reflect.ValueOf(into).Elem(), reflect.ValueOf(from).Elem()
	if to.Type() != of.Type() {
		return fmt.Errorf("a %s is no %s", of.Type(), to.Type())
	}
	to.Set(of)
	return nil
}

// patience is how long a read waits for a revision that has not come yet.
const patience = 3 * time.Second

// notOlder is a World that is no older than a resource version; an empty one and "0" are content with any.
func (s *store) notOlder(ctx context.Context, version string) (*state.World, error) {
	wanted, err := s.Versioner().ParseResourceVersion(version)
	if err != nil {
		return nil, err
	}
	if w := s.feed.World(); uint64(w.Revision()) >= wanted {
		return w, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		w := s.feed.World()
		if uint64(w.Revision()) >= wanted {
			return w, nil
		}
		select {
		case <-s.feed.Changed(w.Revision()):
		case <-timer.C:
			return nil, storage.NewTooLargeResourceVersionError(wanted, uint64(w.Revision()), 1)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func named(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}
