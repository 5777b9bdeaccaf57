package state

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
)

// Writer names who states the facts of a Batch. Each fact has one writer.
type Writer string

// WriterReconcile decides: objects, bindings, deletions, allocations, and the statuses that are
// computed. NodeWriter observes: the status of its Pods and of itself, and what it has routed.
const WriterReconcile Writer = "reconcile"

// NodeWriter is the writer of what a node observes.
func NodeWriter(n Node) Writer { return Writer("node/" + string(n)) }

// Batch is a set of facts by one writer that become true together.
type Batch struct {
	Writer Writer
	// Base is the revision of the World that the Batch was computed from. Identities of new objects
	// are derived from it.
	Base Revision
	// Commit is the adopted commit that the Batch rests on; a Batch resting on another commit than the
	// World's is refused. Observations leave it empty.
	Commit string
	// Adopt moves the World to another commit. Only a Batch with Adopt may put or delete authored objects.
	Adopt *Adoption
	// Now becomes the creation time of new objects.
	Now     time.Time
	Deletes []Delete // carried out before Puts, so that an object can be replaced by a new one of its name
	Puts    []Put
}

// Put states facts of one object. Fields that are nil (or zero) say nothing.
type Put struct {
	Ref manifest.Ref
	// UID, for a record that exists, must be the record's own: a Put for another incarnation is an
	// error for WriterReconcile and is passed over for observers. For a new record it is the identity
	// to restore; empty derives a new one.
	UID types.UID
	Why string // one line for people: why the fact is stated

	Object     manifest.Object // makes the record when there is none
	Origin     Origin          // with Object
	Node       Node            // binds a Pod, or says who has the files of a PersistentVolume
	Deletion   *Deletion
	Allocation *Allocation
	Status     Status
	Routed     Revision
	// Annotations are all that are computed for the object; they take the place of those before.
	Annotations map[string]string
	Controller  *Controller // of what is authored
	Metrics     *Metrics
	Scaling     *Scaling
	// Created and Generation restore those of an object found running; zero otherwise.
	Created    time.Time
	Generation int64
}

// Delete removes an object. UID, when not empty, must be the record's own.
type Delete struct {
	Ref manifest.Ref
	UID types.UID
	Why string
}

// Adoption is the commit that the cluster follows.
type Adoption struct {
	Commit    string    `json:"commit"`    // hash; empty before the first adoption
	Tree      string    `json:"tree"`      // hash of the followed folder
	Digest    string    `json:"digest"`    // of the rendered Set
	Branch    string    `json:"branch"`    // the followed branch, tag or commit
	Subject   string    `json:"subject"`   // first line of the message
	Author    string    `json:"author"`    // name <mail>
	Committed time.Time `json:"committed"` // author's time
	Adopted   time.Time `json:"adopted"`
	Revision  Revision  `json:"revision"` // of the Batch that adopted it; set by Apply
	// Settings of writ.yaml as adopted.
	Settings manifest.Cluster `json:"settings"`
}

// Empty says that the Batch would change nothing.
func (b *Batch) Empty() bool { return b.Adopt == nil && len(b.Puts) == 0 && len(b.Deletes) == 0 }

// Observation says that the Batch holds nothing but observations and computed statuses, which are
// sequenced but need not be logged.
func (b *Batch) Observation() bool {
	if b.Adopt != nil || len(b.Deletes) > 0 {
		return false
	}
	for i := range b.Puts {
		p := &b.Puts[i]
		if p.Object != nil || p.Node != "" || p.Deletion != nil || p.Allocation != nil || p.Annotations != nil || p.Controller != nil || Decided(p.Status) {
			return false
		}
	}
	return true
}

// Change is one record before and after a Batch. Old is nil for a new record, New for a removed one.
type Change struct {
	Ref      manifest.Ref
	Old, New *Record
	Revision Revision
}

// ErrMoved says that the ground of a Batch has moved: compute again on the current World.
var ErrMoved = errors.New("the world has moved on")
