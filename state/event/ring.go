package event

import (
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/state"
)

// Limits of a Ring, unless others are given.
const (
	DefaultBytes = 4 << 20
	DefaultAge   = time.Hour
)

// Config bounds a Ring. Zero values mean the defaults.
type Config struct {
	Bytes int           // about what the events may take in memory
	Age   time.Duration // since an event was last told
	Now   func() time.Time
}

// Ring keeps events. Its methods may be called from any goroutine.
type Ring struct {
	bytes int
	age   time.Duration
	now   func() time.Time

	mu       sync.Mutex
	order    *list.List // of *entry, least lately told first
	known    map[identity]*list.Element
	used     int
	sequence uint64
	changed  chan struct{}
}

// identity is what makes two events the same one told twice.
type identity struct {
	ref                        manifest.Ref
	uid                        types.UID
	kind                       string // Normal or Warning
	reason, message, component string
	field                      string
}

type entry struct {
	event    state.Event
	sequence uint64 // of the last telling
}

// Entry is an event with the number of its last telling, which only grows.
type Entry struct {
	state.Event
	Sequence uint64 `json:"-"`
}

// NewRing makes an empty Ring.
func NewRing(cfg Config) *Ring {
	r := &Ring{bytes: cfg.Bytes, age: cfg.Age, now: cfg.Now, order: list.New(), known: map[identity]*list.Element{}, changed: make(chan struct{})}
	if r.bytes == 0 {
		r.bytes = DefaultBytes
	}
	if r.age == 0 {
		r.age = DefaultAge
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r
}

// Record tells an event. Without times it happened now; a Count above one stands for so many times.
func (r *Ring) Record(e state.Event) {
	now := r.now()
	if e.Last.IsZero() {
		e.Last = now
	}
	if e.First.IsZero() {
		e.First = e.Last
	}
	e.Count = max(e.Count, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	r.add(e)
	for r.used > r.bytes && r.order.Len() > 1 {
		r.drop(r.order.Front())
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Ring) add(e state.Event) {
	r.sequence++
	id := identityOf(&e)
	element, ok := r.known[id]
	if !ok {
		r.known[id] = r.order.PushBack(&entry{event: e, sequence: r.sequence})
		r.used += weight(&e)
		return
	}
	told := element.Value.(*entry)
	told.event.Count += e.Count
	if e.Last.After(told.event.Last) {
		told.event.Last = e.Last
	}
	told.sequence = r.sequence
	r.order.MoveToBack(element)
}

func identityOf(e *state.Event) identity {
	return identity{ref: e.Ref, uid: e.UID, kind: e.Type, reason: e.Reason, message: e.Message, component: e.Component, field: e.Field}
}

// weight is about what an event takes: its strings stand in the event and in its identity only once.
func weight(e *state.Event) int {
	return 512 + len(e.Message) + len(e.Reason) + len(e.Component) + len(e.Ref.Name) + len(e.Ref.Namespace) + len(e.Field)
}

// expire forgets what was not told for too long.
func (r *Ring) expire(now time.Time) {
	for e := r.order.Front(); e != nil && now.Sub(e.Value.(*entry).event.Last) > r.age; e = r.order.Front() {
		r.drop(e)
	}
}

func (r *Ring) drop(e *list.Element) {
	told := r.order.Remove(e).(*entry)
	delete(r.known, identityOf(&told.event))
	r.used -= weight(&told.event)
}

// Filter chooses events. Zero fields choose all.
type Filter struct {
	Group, Kind, Namespace, Name string
	UID                          types.UID
	Type                         string // "Normal" or "Warning"
	After                        uint64 // only those told after the one with this number
}

// matches compares an event with a filter.
func (f Filter) matches(e *entry) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	ref := e.event.Ref
	return e.sequence > f.After &&
		same(f.Kind, ref.Kind) && (f.Kind == "" || f.Group == ref.Group) &&
		same(f.Namespace, ref.Namespace) && same(f.Name, ref.Name) &&
		same(string(f.UID), string(e.event.UID)) && (f.Type == "" || strings.EqualFold(f.Type, e.event.Type))
}

// List is the events that a filter chooses, in the order in which they were last told. last is the number of the last
// telling of all, chosen or not, forgotten or not: a watch goes on from there.
func (r *Ring) List(f Filter) (found []Entry, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(r.now())
	for e := r.order.Back(); e != nil; e = e.Prev() {
		told := e.Value.(*entry)
		if told.sequence <= f.After {
			break
		}
		if f.matches(told) {
			found = append(found, Entry{Event: told.event, Sequence: told.sequence})
		}
	}
	slices.Reverse(found)
	return found, r.sequence
}

// Changed is closed once an event was told after the one with the given number, at once if it was.
// Zero waits for the first. With List, Filter.After and what List says was the last it makes a watch.
func (r *Ring) Changed(after uint64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sequence > after {
		passed := make(chan struct{})
		close(passed)
		return passed
	}
	return r.changed
}
