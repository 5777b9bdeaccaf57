package worldstore

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"writ/manifest"
	"writ/state"
)

// GetList is one World's objects, or a chunk of them.
func (s *store) GetList(ctx context.Context, key string, o storage.ListOptions, into runtime.Object) error {
	w, after, err := s.listed(ctx, o)
	if err != nil {
		return err
	}
	items, err := newItems(into)
	if err != nil {
		return err
	}
	if !o.Recursive {
		return s.one(w, key, o, into, items)
	}
	namespace, err := s.namespace(key)
	if err != nil {
		return err
	}
	records := s.candidates(w, namespace, &o.Predicate)
	if after != "" {
		if records, err = s.after(w, namespace, after); err != nil {
			return err
		}
	}
	last, more, err := s.take(ctx, records, &o.Predicate, items)
	if err != nil {
		return err
	}
	if err := items.done(); err != nil {
		return err
	}
	version := int64(w.Revision())
	if !more {
		return s.Versioner().UpdateList(into, uint64(version), "", nil)
	}
	s.pins.hold(w)
	left := int64(items.len())
	if o.Predicate.Empty() {
		for range w.ListAfter(s.kind.Group, s.kind.Kind, namespace, named(last.Ref.Namespace, last.Ref.Name)) {
			left++
		}
	}
	token, remaining, err := storage.PrepareContinueToken(s.keyOf(last.Ref), s.prefix, version, left, true, o)
	if err != nil {
		return err
	}
	return s.Versioner().UpdateList(into, uint64(version), token, remaining)
}

// keyOf is a record's key, as upstream's registries make them.
func (s *store) keyOf(ref manifest.Ref) string {
	if ref.Namespace == "" {
		return s.prefix + ref.Name
	}
	return s.prefix + ref.Namespace + "/" + ref.Name
}

// listed is the World that a list is of, and the key behind which it goes on.
func (s *store) listed(ctx context.Context, o storage.ListOptions) (w *state.World, after string, err error) {
	exact, after, err := storage.ValidateListOptions(s.prefix, s.Versioner(), o)
	if err != nil {
		return nil, "", err
	}
	if exact > 0 {
		w, err = s.at(state.Revision(exact), after != "")
		return w, after, err
	}
	if after != "" { // a continuation that does not mind another World
		return s.feed.World(), after, nil
	}
	w, err = s.notOlder(ctx, o.ResourceVersion)
	return w, "", err
}

// at is the World of one revision: the present one, or one that a list in chunks holds.
func (s *store) at(revision state.Revision, goesOn bool) (*state.World, error) {
	if w := s.feed.World(); w.Revision() == revision {
		return w, nil
	} else if w.Revision() < revision {
		return nil, storage.NewTooLargeResourceVersionError(uint64(revision), uint64(w.Revision()), 1)
	}
	if w := s.pins.get(revision); w != nil {
		return w, nil
	}
	if goesOn {
		return nil, apierrors.NewResourceExpired("The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.")
	}
	return nil, apierrors.NewResourceExpired(fmt.Sprintf("The resourceVersion for the provided list is too old: %s", revision))
}

// after are the records behind a key of a continuation.
func (s *store) after(w *state.World, namespace, key string) (iter.Seq[*state.Record], error) {
	ref, err := s.ref(strings.TrimRight(key, "\x00"))
	if err != nil {
		return nil, apierrors.NewBadRequest("invalid continue token: " + err.Error())
	}
	return w.ListAfter(s.kind.Group, s.kind.Kind, namespace, named(ref.Namespace, ref.Name)), nil
}

// candidates are the records that a predicate may match, found by an index where there is one.
func (s *store) candidates(w *state.World, namespace string, p *storage.SelectionPredicate) iter.Seq[*state.Record] {
	if p.Limit == 0 && s.kind.Group == "" && s.kind.Kind == "Pod" && p.Field != nil {
		if node, ok := p.Field.RequiresExactMatch("spec.nodeName"); ok && node != "" {
			return func(yield func(*state.Record) bool) {
				for r := range w.OnNode(state.Node(node)) {
					if (namespace == "" || r.Ref.Namespace == namespace) && !yield(r) {
						return
					}
				}
			}
		}
	}
	if p.Label == nil || p.Label.Empty() || p.Limit > 0 || namespace == "" { // an index has its own order, which chunks have not
		return w.List(s.kind.Group, s.kind.Kind, namespace)
	}
	return w.Select(s.kind.Group, s.kind.Kind, namespace, p.Label)
}

// one is a list of the object with a name, or of nothing.
func (s *store) one(w *state.World, key string, o storage.ListOptions, into runtime.Object, items *items) error {
	ref, err := s.ref(key)
	if err != nil {
		return err
	}
	if r := w.Get(ref); r != nil {
		if err := s.match(r, &o.Predicate, items); err != nil {
			return err
		}
	}
	if err := items.done(); err != nil {
		return err
	}
	return s.Versioner().UpdateList(into, uint64(w.Revision()), "", nil)
}

// take puts the records that a predicate matches into a list, up to its limit. last is the record behind which there
// may be more.
func (s *store) take(ctx context.Context, records iter.Seq[*state.Record], p *storage.SelectionPredicate, items *items) (last *state.Record, more bool, err error) {
	const look = 1024 // records between two looks at whether somebody still waits
	n := 0
	for r := range records {
		if n++; n%look == 0 && ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if p.Limit > 0 && int64(items.len()) == p.Limit {
			return last, true, nil
		}
		if err := s.match(r, p, items); err != nil {
			return nil, false, err
		}
		last = r
	}
	return nil, false, nil
}

// labelled says whether a predicate may want a record, before it is copied.
func labelled(r *state.Record, p *storage.SelectionPredicate) bool {
	return p.Label == nil || p.Label.Empty() || p.Label.Matches(labels.Set(r.Object.GetLabels()))
}

// match puts a record into a list if the predicate wants it.
func (s *store) match(r *state.Record, p *storage.SelectionPredicate, items *items) error {
	if !labelled(r, p) {
		return nil
	}
	object, err := s.internal(r)
	if err != nil {
		return err
	}
	if !p.Empty() {
		if ok, err := p.Matches(object); err != nil || !ok {
			return err
		}
	}
	items.add(object)
	return nil
}

// items are those of a list, which are structs in upstream's lists and objects in one of custom resources. They are put into it
// once their number is known: growing a long list of structs would copy it several times.
type items struct {
	slice   reflect.Value
	objects []runtime.Object
}

func newItems(list runtime.Object) (*items, error) {
	pointer, err := meta.GetItemsPtr(list)
	if err != nil {
		return nil, err
	}
	return &items{slice: reflect.ValueOf(pointer).Elem()}, nil
}

func (i *items) len() int { return len(i.objects) }

func (i *items) add(object runtime.Object) { i.objects = append(i.objects, object) }

// done puts the objects into the list, which is never null.
func (i *items) done() error {
	all := reflect.MakeSlice(i.slice.Type(), len(i.objects), len(i.objects))
	item := i.slice.Type().Elem()
	for n, object := range i.objects {
		v := reflect.ValueOf(object)
		if item.Kind() == reflect.Struct {
			v = v.Elem()
		}
		if !v.Type().AssignableTo(item) {
			return fmt.Errorf("a %s is no item of %s", v.Type(), i.slice.Type())
		}
		all.Index(n).Set(v)
		i.objects[n] = nil
	}
	i.slice.Set(all)
	return nil
}
