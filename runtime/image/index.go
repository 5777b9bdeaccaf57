package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"writ/disk"
)

// format of index.json. A newer one is refused rather than misread.
const format = 1

// index is what the store knows. A published one is never changed: clone, change,
// save, publish.
type index struct {
	Format int `json:"format"`
	// Images by ID.
	Images map[string]record `json:"images"`
	// Pulled holds full references, by tag and by digest.
	Pulled map[string]target `json:"pulled"`
	// Archives by file name.
	Archives map[string]archiveEntry `json:"archives"`
	// Proofs say who has shown to a registry that they may read repository@digest.
	Proofs map[string]proof `json:"proofs"`
	// Extents are what layers take on disk, by diff id.
	Extents map[string]savedExtent `json:"extents,omitempty"`
	// Commits name the images of the adopted commit and of the one before, newest first.
	Commits []commitImages `json:"commits,omitempty"`
}

type record struct {
	Config v1.Config `json:"config"`
	Layers []string  `json:"layers"`
	Size   int64     `json:"size"`
	// Created is when its author made it, Taken when it came here, Used when a
	// container last wanted it.
	Created time.Time `json:"created,omitzero"`
	Taken   time.Time `json:"taken,omitzero"`
	Used    time.Time `json:"used,omitzero"`
}

type savedExtent struct {
	Bytes int64 `json:"bytes"`
	Files int64 `json:"files"`
}

// target is what a reference stands for.
type target struct {
	ID     string `json:"id"`
	Digest string `json:"digest,omitempty"`
}

// archiveEntry is one file of the archive folder that was taken up.
type archiveEntry struct {
	Identity fileIdentity      `json:"identity"`
	Names    map[string]target `json:"names"`
	// Loaded is when an administrator loaded it by command; zero for a file that was
	// put down. What was loaded last is what a name stands for.
	Loaded time.Time `json:"loaded,omitzero"`
}

// fileIdentity changes whenever the file is replaced or written to.
type fileIdentity struct {
	Inode    uint64 `json:"inode"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds
}

type proof struct {
	// Anonymous: the registry serves it to anybody.
	Anonymous bool `json:"anonymous,omitempty"`
	// Namespaces whose own secrets were accepted.
	Namespaces []string `json:"namespaces,omitempty"`
}

func (p proof) covers(namespace string) bool {
	return p.Anonymous || slices.Contains(p.Namespaces, namespace)
}

func newIndex() *index {
	return &index{Format: format, Images: map[string]record{}, Pulled: map[string]target{},
		Archives: map[string]archiveEntry{}, Proofs: map[string]proof{}, Extents: map[string]savedExtent{}}
}

func (x *index) clone() *index {
	return &index{Format: format, Images: maps.Clone(x.Images), Pulled: maps.Clone(x.Pulled),
		Archives: maps.Clone(x.Archives), Proofs: maps.Clone(x.Proofs), Extents: maps.Clone(x.Extents), Commits: x.Commits}
}

// lookup finds what a reference stands for. An archive goes before what was pulled:
// the administrator of this node put it there. It has a digest among its names only
// if its content has that digest.
func (x *index) lookup(r ref) (Image, bool) {
	for _, file := range x.archiveOrder() {
		if t, found := x.Archives[file].Names[r.full]; found {
			return x.image(r, t, true)
		}
	}
	return x.image(r, x.Pulled[r.full], false)
}

// archiveOrder is the files as they go before each other: what was loaded last, then by name.
func (x *index) archiveOrder() []string {
	files := slices.Sorted(maps.Keys(x.Archives))
	slices.SortStableFunc(files, func(a, b string) int { return x.Archives[b].Loaded.Compare(x.Archives[a].Loaded) })
	return files
}

func (x *index) image(r ref, t target, archive bool) (Image, bool) {
	rec, ok := x.Images[t.ID]
	if !ok {
		return Image{}, false
	}
	return Image{ID: t.ID, Digest: t.Digest, Ref: r.full, Repository: r.repository, Config: rec.Config,
		Layers: rec.Layers, Size: rec.Size, FromArchive: archive}, true
}

// addNames names the image under the reference and under each digest.
func addNames(names map[string]target, full, repository, id string, digests []string) {
	t := target{ID: id}
	if len(digests) > 0 {
		t.Digest = digests[0]
	}
	names[full] = t
	for _, d := range digests {
		names[repository+"@"+d] = target{ID: id, Digest: d}
	}
}

// put takes an image in; what was known of its use stays.
func (x *index) put(id string, r record) {
	if old, ok := x.Images[id]; ok {
		r.Used = old.Used
	}
	x.Images[id] = r
}

// date takes images of an older version, which did not note when they came, as coming now.
func (x *index) date(now time.Time) {
	for id, r := range x.Images {
		if r.Taken.IsZero() {
			r.Taken = now
			x.Images[id] = r
		}
	}
}

// drop removes images for which gone is true, and every reference to them.
func (x *index) drop(gone func(id string, r record) bool) {
	maps.DeleteFunc(x.Images, gone)
	orphan := func(_ string, t target) bool { _, ok := x.Images[t.ID]; return !ok }
	maps.DeleteFunc(x.Pulled, orphan)
	for file, a := range x.Archives {
		if names := maps.Clone(a.Names); len(names) > 0 {
			maps.DeleteFunc(names, orphan)
			if len(names) != len(a.Names) {
				// Forget the file as a whole, so that the next look takes it up again.
				delete(x.Archives, file)
			}
		}
	}
	maps.DeleteFunc(x.Proofs, func(key string, _ proof) bool { _, ok := x.Pulled[key]; return !ok })
}

func loadIndex(path string) (*index, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newIndex(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read image index: %w", err)
	}
	x := newIndex()
	if err := json.Unmarshal(data, x); err != nil {
		return nil, fmt.Errorf("read image index %s: %w", path, err)
	}
	if x.Extents == nil {
		x.Extents = map[string]savedExtent{}
	}
	if x.Format != format {
		return nil, fmt.Errorf("read image index %s: format is %d, this version knows %d", path, x.Format, format)
	}
	return x, nil
}

// save replaces the file in one step and writes it through.
func (x *index) save(path string) error {
	data, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("write image index: %w", err)
	}
	if err := disk.Replace(path, data); err != nil {
		return fmt.Errorf("write image index: %w", err)
	}
	return nil
}
