package image

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Store is the image store of one node. All methods may be called at once.
type Store struct {
	dir      string // holds index.json, layers/, l/ (their short names), skeleton/, empty/ and tmp/
	archives string
	log      *slog.Logger
	limits   limits
	patience patience
	registry *registryClient

	current atomic.Pointer[index]
	writing sync.Mutex // held while a next index is made, saved and published

	durable atomic.Bool // this kernel knows no volatile overlay

	scanning sync.Mutex // held while the archive folder and the index are brought together

	pulls  flights
	layers keyedLocks

	mu      sync.Mutex
	pinned  map[string]int    // layers that a running pull counts on
	refused map[string]error  // archive files that could not be taken up
	folder  error             // why the archive folder is refused
	extents map[string]extent // of layers that this process unpacked or measured
	used    map[string]time.Time
}

// Open opens the store below cfg.Dir, which is made when it is not there. The
// folder of archives is looked at by LoadArchives and Run only. One process at a time
// may have a store open.
func Open(cfg Config, log *slog.Logger) (*Store, error) {
	log = log.With("component", "images")
	client, err := cfg.client(log)
	if err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	dir := cfg.Dir
	s := &Store{dir: dir, archives: cleanPath(cfg.Archives), log: log, limits: defaultLimits(), patience: defaultPatience(),
		registry: client, pinned: map[string]int{}, refused: map[string]error{}, extents: map[string]extent{}, used: map[string]time.Time{}}
	s.registry.patience = &s.patience
	s.limits.bound(extent{bytes: cfg.MaxBytes, files: cfg.MaxFiles})
	for _, d := range []string{dir, s.layersDir(), s.tmpDir(), s.shortcutsDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open image store: %w", err)
		}
	}
	for _, d := range s.emptyDirs() {
		if err := errors.Join(os.MkdirAll(filepath.Dir(d), 0o700), makeFolder(d, 0o755)); err != nil {
			return nil, fmt.Errorf("open image store: %w", err)
		}
	}
	if err := errors.Join(s.makeSkeleton(), s.clearTmp(), s.clearLoads(), s.clearStages()); err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	x, err := loadIndex(s.indexPath())
	if err != nil {
		return nil, err
	}
	x.drop(func(_ string, r record) bool { return !s.complete(r) })
	x.date(time.Now())
	for d, e := range x.Extents {
		s.extents[d] = extent{bytes: e.Bytes, files: e.Files}
	}
	s.current.Store(x)
	return s, nil
}

func (s *Store) indexPath() string { return filepath.Join(s.dir, "index.json") }
func (s *Store) layersDir() string { return filepath.Join(s.dir, "layers") }
func (s *Store) tmpDir() string    { return filepath.Join(s.dir, "tmp") }

// emptyDirs are for images with fewer layers than overlayfs wants.
func (s *Store) emptyDirs() []string {
	return []string{filepath.Join(s.dir, "empty", "a"), filepath.Join(s.dir, "empty", "b")}
}

// clearTmp removes what a crash left half done.
func (s *Store) clearTmp() error {
	entries, err := os.ReadDir(s.tmpDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.tmpDir(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) complete(r record) bool {
	for _, l := range r.Layers {
		if _, err := os.Lstat(s.layerDir(l)); err != nil {
			return false
		}
	}
	return true
}

// update publishes a changed index. Nothing is published that is not on disk.
func (s *Store) update(change func(*index)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	next := s.current.Load().clone()
	change(next)
	s.fold(next)
	if err := next.save(s.indexPath()); err != nil {
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	s.current.Store(next)
	return nil
}

// Close waits for pulls whose callers have all gone away to clean up behind them. The
// store is not to be used afterwards.
func (s *Store) Close() { s.pulls.wait() }

func cleanPath(p string) string {
	if p == "" {
		return ""
	}
	return filepath.Clean(p)
}

// Resolve finds an image on this node, without asking anybody. It does not say
// whether a namespace may use it: see Allowed and Ensure.
func (s *Store) Resolve(reference string) (Image, bool) {
	r, err := parseRef(reference)
	if err != nil {
		return Image{}, false
	}
	return s.current.Load().lookup(r)
}
