package sync

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// watcher tells when one of a few files may have changed, also files in folders that do not exist
// yet: it watches the nearest folder that does, and moves on when it appears.
type watcher struct {
	changed chan struct{} // holds at most one occurrence
	log     *slog.Logger
	fs      *fsnotify.Watcher
	done    sync.WaitGroup

	mu    sync.Mutex
	files map[string]bool // the files and every folder above them
	dirs  map[string]bool // what is watched
}

func newWatcher(repository string, log *slog.Logger) (*watcher, error) {
	n, err := fsnotify.NewBufferedWatcher(256)
	if err != nil {
		return nil, fmt.Errorf("watch repository: %w", err)
	}
	w := &watcher{changed: make(chan struct{}, 1), log: log, fs: n, dirs: map[string]bool{}}
	if err := w.follow([]string{repository}); err != nil {
		n.Close()
		return nil, err
	}
	w.done.Go(w.run)
	return w, nil
}

// stop ends watching and waits until it ended.
func (w *watcher) stop() {
	w.fs.Close()
	w.done.Wait()
}

// follow replaces the files that are watched for.
func (w *watcher) follow(files []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files = map[string]bool{}
	want := map[string]bool{}
	for _, f := range files {
		for dir := f; !w.files[dir]; dir = filepath.Dir(dir) {
			w.files[dir] = true
		}
		want[nearest(filepath.Dir(f))] = true
	}
	for dir := range w.dirs {
		if !want[dir] {
			_ = w.fs.Remove(dir) // it may be gone
			delete(w.dirs, dir)
		}
	}
	// A folder that was removed and made again lost its watch; adding again costs nothing.
	for dir := range want {
		err := w.fs.Add(dir)
		if errors.Is(err, os.ErrNotExist) {
			w.wake() // it vanished just now: look again
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		w.dirs[dir] = true
	}
	return nil
}

// nearest is the deepest folder at or above dir that exists.
func nearest(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir
		}
		dir = up
	}
}

func (w *watcher) run() {
	for {
		select {
		case e, ok := <-w.fs.Events:
			if !ok {
				return
			}
			if !e.Has(fsnotify.Chmod) && w.relevant(e.Name) {
				w.wake()
			}
		case err, ok := <-w.fs.Errors:
			if !ok {
				return
			}
			w.log.Debug("occurrences of the repository were lost", "err", err)
			w.wake()
		}
	}
}

func (w *watcher) relevant(name string) bool {
	if strings.HasSuffix(name, ".lock") {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files[filepath.Clean(name)]
}

func (w *watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
