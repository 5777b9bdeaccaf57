package logs

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Hub tells followers when something happens in a folder. There is one for all,
// because a user has few inotify instances.
type Hub struct {
	mu      sync.Mutex
	watcher *fsnotify.Watcher
	dirs    map[string]map[chan struct{}]bool
}

// NewHub makes a Hub; it tells nothing before Run.
func NewHub() *Hub { return &Hub{dirs: map[string]map[chan struct{}]bool{}} }

// Run tells followers until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch logs: %w", err)
	}
	h.mu.Lock()
	h.watcher = w
	for dir := range h.dirs {
		_ = w.Add(dir)
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.watcher = nil
		h.mu.Unlock()
		w.Close()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			h.tell(filepath.Dir(e.Name))
		case _, ok := <-w.Errors: // an overflow: anything may have happened
			if !ok {
				return nil
			}
			h.tellAll()
		}
	}
}

func (h *Hub) tell(dir string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.dirs[dir] {
		ring(ch)
	}
}

func (h *Hub) tellAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, set := range h.dirs {
		for ch := range set {
			ring(ch)
		}
	}
}

func ring(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// watch gives a bell for a folder. It rings too often rather than too seldom.
func (h *Hub) watch(dir string) (bell <-chan struct{}, release func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dirs[dir] == nil {
		h.dirs[dir] = map[chan struct{}]bool{}
		if h.watcher != nil {
			_ = h.watcher.Add(dir)
		}
	}
	h.dirs[dir][ch] = true
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.dirs[dir], ch); len(h.dirs[dir]) == 0 {
			delete(h.dirs, dir)
			if h.watcher != nil {
				_ = h.watcher.Remove(dir)
			}
		}
	}
}
