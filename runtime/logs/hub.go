package logs

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Hub tells followers when something happens in a folder. There is one for all,
// because a user has few inotify instances; it holds one only while somebody follows.
type Hub struct {
	mu      sync.Mutex
	watcher *fsnotify.Watcher
	dirs    map[string]map[chan struct{}]bool
}

// NewHub makes a Hub.
func NewHub() *Hub { return &Hub{dirs: map[string]map[chan struct{}]bool{}} }

// watch gives a bell for a folder. It rings too often rather than too seldom.
func (h *Hub) watch(dir string) (bell <-chan struct{}, release func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watcher == nil {
		if h.watcher, err = fsnotify.NewWatcher(); err != nil {
			return nil, nil, fmt.Errorf("watch logs: %w", err)
		}
		go h.listen(h.watcher)
	}
	if h.dirs[dir] == nil {
		if err := h.watcher.Add(dir); err != nil {
			h.close()
			return nil, nil, fmt.Errorf("watch logs: %w", err)
		}
		h.dirs[dir] = map[chan struct{}]bool{}
	}
	ch := make(chan struct{}, 1)
	h.dirs[dir][ch] = true
	return ch, func() { h.release(dir, ch) }, nil
}

func (h *Hub) release(dir string, ch chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.dirs[dir], ch); len(h.dirs[dir]) == 0 {
		delete(h.dirs, dir)
		_ = h.watcher.Remove(dir) // the folder may be gone
	}
	h.close()
}

// close ends the watcher, and with it listen, when nobody follows.
func (h *Hub) close() {
	if len(h.dirs) == 0 && h.watcher != nil {
		h.watcher.Close()
		h.watcher = nil
	}
}

func (h *Hub) listen(w *fsnotify.Watcher) {
	for {
		select {
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			h.tell(filepath.Dir(e.Name))
		case _, ok := <-w.Errors: // an overflow: anything may have happened
			if !ok {
				return
			}
			h.tell("")
		}
	}
}

// tell rings for a folder, or for all if it is empty.
func (h *Hub) tell(dir string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for d, set := range h.dirs {
		if dir != "" && d != dir {
			continue
		}
		for ch := range set {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}
