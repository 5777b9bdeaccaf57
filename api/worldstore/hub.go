package worldstore

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"writ/state"
)

// bookmarks is the time between two events by which a watcher learns how far it is.
const bookmarks = 30 * time.Second

// hub reads the feed once for all watchers. It runs while there is one.
type hub struct {
	ctx  context.Context
	feed Feed

	mu       sync.Mutex
	watchers map[schema.GroupKind]map[*watcher]bool
	count    int
	world    *state.World // up to which watchers were told
	running  bool
}

func newHub(ctx context.Context, feed Feed) *hub {
	return &hub{ctx: ctx, feed: feed, watchers: map[schema.GroupKind]map[*watcher]bool{}}
}

// join adds a watcher. What happened after a revision and up to now, when it joins, it is given at once; false if
// that is not known any more. A revision of -1 means now, with the World that it starts from.
func (h *hub) join(w *watcher, from int64) (changes []state.Change, start *state.World, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running {
		h.world = h.feed.World()
	}
	if from >= 0 {
		if changes, _, ok = h.feed.Since(state.Revision(from)); !ok {
			return nil, h.world, false
		}
	}
	of := h.watchers[w.store.kind.GroupKind]
	if of == nil {
		of = map[*watcher]bool{}
		h.watchers[w.store.kind.GroupKind] = of
	}
	of[w] = true
	h.count++
	if !h.running {
		h.running = true
		go h.run()
	}
	return changes, h.world, true
}

func (h *hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(w)
}

// drop is leave with the lock held.
func (h *hub) drop(w *watcher) {
	if of := h.watchers[w.store.kind.GroupKind]; of[w] {
		delete(of, w)
		h.count--
		close(w.input)
	}
}

// run tells the watchers what happens until there is none.
func (h *hub) run() {
	bookmark := time.NewTicker(bookmarks)
	defer bookmark.Stop()
	for {
		h.mu.Lock()
		if h.count == 0 || h.ctx.Err() != nil {
			h.end()
			h.mu.Unlock()
			return
		}
		changed := h.feed.Changed(h.world.Revision())
		h.mu.Unlock()
		select {
		case <-changed:
			h.step()
		case <-bookmark.C:
			h.progress()
		case <-h.ctx.Done():
		}
	}
}

// end stops the hub; the lock is held.
func (h *hub) end() {
	h.running, h.world = false, nil
	h.dropAll()
}

// dropAll is leave of everybody, with the lock held.
func (h *hub) dropAll() {
	for _, of := range h.watchers {
		for w := range of {
			h.drop(w)
		}
	}
}

// step tells the watchers what happened since the last one.
func (h *hub) step() {
	h.mu.Lock()
	defer h.mu.Unlock()
	changes, now, ok := h.feed.Since(h.world.Revision())
	h.world = now
	if !ok { // more happened at once than the feed keeps: they list again
		h.dropAll()
		return
	}
	for i := range changes {
		c := &changes[i]
		of := h.watchers[schema.GroupKind{Group: c.Ref.Group, Kind: c.Ref.Kind}]
		if len(of) == 0 {
			continue
		}
		var e *event
		for w := range of {
			if !w.wants(c) {
				continue
			}
			if e == nil {
				e = &event{change: c, store: w.store}
			}
			h.send(w, e)
		}
	}
}

// progress tells the watchers that want it how far they are.
func (h *hub) progress() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.world == nil {
		return
	}
	for _, of := range h.watchers {
		for w := range of {
			if w.predicate.AllowWatchBookmarks {
				h.send(w, &event{bookmark: h.world.Revision()})
			}
		}
	}
}

// send never waits: a watcher that does not read is dropped, and its client lists again.
func (h *hub) send(w *watcher, e *event) {
	select {
	case w.input <- e:
	default:
		h.drop(w)
		w.Stop()
	}
}

// event is a change of one object for all its watchers, or a bookmark. What it looks like is made when it is first asked for.
type event struct {
	change   *state.Change
	store    *store
	bookmark state.Revision

	old, now appearance
}

// appearance is an object before or after a change, as watchers are sent it.
type appearance struct {
	once    sync.Once
	encoded *encoded
	err     error
}

// at makes an appearance of a record; version is that of the change.
func (a *appearance) at(s *store, r *state.Record, version state.Revision) (*encoded, error) {
	a.once.Do(func() {
		var object runtime.Object
		if object, a.err = s.internal(r); a.err != nil {
			return
		}
		if a.encoded, a.err = newEncoded(object); a.err == nil {
			a.encoded.SetResourceVersion(version.String())
		}
	})
	return a.encoded, a.err
}
