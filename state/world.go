package state

import (
	"bytes"
	"iter"

	"github.com/google/uuid"
	iradix "github.com/hashicorp/go-immutable-radix/v2"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
)

// HistoryLimit is how many adoptions a World remembers.
const HistoryLimit = 100

// World is an immutable, indexed picture of the cluster at one revision. Whoever holds one needs no
// lock. The next one is made by Apply.
type World struct {
	cluster  uuid.UUID
	revision Revision
	adopted  Adoption
	history  []Adoption // oldest first, the adopted one last
	records  *iradix.Tree[*Record]
	// Indexes hold the keys of records, so that they change only when what they are about does.
	byOwner *iradix.Tree[manifest.Ref] // controller UID, key of record
	byNode  *iradix.Tree[manifest.Ref] // node, key of record (Pods only)
	byLabel *iradix.Tree[manifest.Ref] // kind, namespace, label, value, name (Pods, ReplicaSets and slices)
}

// NewWorld is an empty cluster. id is made once and kept for the life of the cluster; identities of
// objects are derived from it.
func NewWorld(id uuid.UUID) *World {
	return &World{
		cluster: id,
		records: iradix.New[*Record](),
		byOwner: iradix.New[manifest.Ref](),
		byNode:  iradix.New[manifest.Ref](),
		byLabel: iradix.New[manifest.Ref](),
	}
}

// Cluster is the identity of the cluster.
func (w *World) Cluster() uuid.UUID { return w.cluster }

// Revision is that of the last Batch.
func (w *World) Revision() Revision { return w.revision }

// Adopted is the commit that the cluster follows; its Commit is empty before the first adoption.
func (w *World) Adopted() Adoption { return w.adopted }

// History is the last adoptions, oldest first. The caller must not modify it.
func (w *World) History() []Adoption { return w.history }

// Len is the number of records.
func (w *World) Len() int { return w.records.Len() }

// Get is the record of an object, or nil.
func (w *World) Get(ref manifest.Ref) *Record {
	r, _ := w.records.Get(recordKey(ref))
	return r
}

// Records yields every record, ordered by kind, group, namespace and name.
func (w *World) Records() iter.Seq[*Record] { return w.scan(nil) }

// List yields the records of one kind, in one namespace or, if it is empty, in all of them.
func (w *World) List(group, kind, namespace string) iter.Seq[*Record] {
	return w.scan(listPrefix(group, kind, namespace))
}

func listPrefix(group, kind, namespace string) []byte {
	if namespace == "" {
		return join(kind, group)
	}
	return join(kind, group, namespace)
}

// ListAfter is List from the first object behind a namespace and name on, whether that is there or not.
func (w *World) ListAfter(group, kind, namespace string, after types.NamespacedName) iter.Seq[*Record] {
	prefix := listPrefix(group, kind, namespace)
	return func(yield func(*Record) bool) {
		it := w.records.Root().Iterator()
		it.SeekLowerBound(append(join(kind, group, after.Namespace, after.Name), 0))
		for key, r, ok := it.Next(); ok && bytes.HasPrefix(key, prefix); key, r, ok = it.Next() {
			if !yield(r) {
				return
			}
		}
	}
}

// Pods yields the Pods of a namespace, or of all.
func (w *World) Pods(namespace string) iter.Seq[*Record] { return w.List("", "Pod", namespace) }

// Services yields the Services of a namespace, or of all.
func (w *World) Services(namespace string) iter.Seq[*Record] { return w.List("", "Service", namespace) }

// Nodes yields the nodes.
func (w *World) Nodes() iter.Seq[*Record] { return w.List("", "Node", "") }

// Owned yields the records whose controller has the given UID.
func (w *World) Owned(owner types.UID) iter.Seq[*Record] {
	return w.follow(w.byOwner, join(string(owner)))
}

// OnNode yields the Pods bound to a node.
func (w *World) OnNode(n Node) iter.Seq[*Record] { return w.follow(w.byNode, join(string(n))) }

// Select yields the records of a kind and namespace that a selector matches. Kinds other than Pod,
// ReplicaSet and EndpointSlice are scanned. A nil selector matches nothing, an empty one everything.
func (w *World) Select(group, kind, namespace string, selector labels.Selector) iter.Seq[*Record] {
	if selector == nil {
		return func(func(*Record) bool) {}
	}
	candidates := w.List(group, kind, namespace)
	if key, value, ok := exactly(selector); ok && labelIndexed(group, kind) {
		candidates = w.follow(w.byLabel, join(kind, group, namespace, key, value))
	}
	return func(yield func(*Record) bool) {
		for r := range candidates {
			if selector.Matches(labels.Set(r.Object.GetLabels())) && !yield(r) {
				return
			}
		}
	}
}

func (w *World) scan(prefix []byte) iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		it := w.records.Root().Iterator()
		it.SeekPrefix(prefix)
		for _, r, ok := it.Next(); ok; _, r, ok = it.Next() {
			if !yield(r) {
				return
			}
		}
	}
}

func (w *World) follow(index *iradix.Tree[manifest.Ref], prefix []byte) iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		it := index.Root().Iterator()
		it.SeekPrefix(prefix)
		for _, ref, ok := it.Next(); ok; _, ref, ok = it.Next() {
			if r := w.Get(ref); r != nil && !yield(r) {
				return
			}
		}
	}
}

// exactly finds a requirement that names one value, by which an index can be entered.
func exactly(s labels.Selector) (key, value string, ok bool) {
	requirements, selectable := s.Requirements()
	if !selectable {
		return "", "", false
	}
	for _, r := range requirements {
		if v, exact := s.RequiresExactMatch(r.Key()); exact {
			return r.Key(), v, true
		}
	}
	return "", "", false
}
