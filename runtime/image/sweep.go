package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sweep removes layer folders that nothing needs, and gives the bytes that were in
// them. A folder leaves its final name in one step, so a crash in the middle leaves no
// half layer behind.
func (s *Store) sweep() (int64, error) {
	entries, err := os.ReadDir(s.layersDir())
	if err != nil {
		return 0, fmt.Errorf("prune layers: %w", err)
	}
	mounted, err := mountedLayers()
	if err != nil {
		return 0, fmt.Errorf("prune layers: %w", err)
	}
	needed := s.current.Load().layers()
	var errs []error
	var freed int64
	for _, e := range entries {
		if needed["sha256:"+e.Name()] || mounted(e.Name()) {
			continue
		}
		n, err := s.sweepLayer(e.Name())
		if err != nil {
			errs = append(errs, fmt.Errorf("prune layer %s: %w", e.Name(), err))
		}
		freed += n
	}
	return freed, errors.Join(errs...)
}

// mountedLayers tells of a layer, by the digits of its digest, whether it is part of a mount now.
func mountedLayers() (func(hex string) bool, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	text := string(mounts)
	return func(hex string) bool { return strings.Contains(text, hex[:min(shortName, len(hex))]) }, nil // by its own name, or by its shortcut
}

// sweepLayer removes one layer folder if nothing needs it, and gives its bytes.
func (s *Store) sweepLayer(hex string) (int64, error) {
	trash, err := os.MkdirTemp(s.tmpDir(), "gone-")
	if err != nil {
		return 0, err
	}
	freed, err := s.unname(hex, filepath.Join(trash, hex))
	return freed, errors.Join(err, os.RemoveAll(trash))
}

// unname takes its name from a layer that nothing needs. It holds the lock of the
// pins, so that no pull can come to count on the layer between the look and the rename.
func (s *Store) unname(hex, to string) (int64, error) {
	id := "sha256:" + hex
	takes := s.takes(id).bytes
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pinned[id] > 0 || s.current.Load().names(id) {
		return 0, nil
	}
	if err := os.Rename(s.layerDir(id), to); err != nil {
		return 0, err
	}
	delete(s.extents, id)
	return takes, s.dropShortcut(hex)
}

// layers are those that images have.
func (x *index) layers() map[string]bool {
	out := map[string]bool{}
	for _, r := range x.Images {
		for _, d := range r.Layers {
			out[d] = true
		}
	}
	return out
}

// names says that some image has the layer.
func (x *index) names(diffID string) bool {
	for _, r := range x.Images {
		if slices.Contains(r.Layers, diffID) {
			return true
		}
	}
	return false
}

// drop removes layers that were unpacked for an image which was then refused.
func (s *Store) drop(diffIDs []string) {
	mounted, err := mountedLayers()
	if err != nil {
		s.log.Warn("layers of a refused image are not removed", "err", err)
		return
	}
	for _, id := range diffIDs {
		hex := strings.TrimPrefix(id, "sha256:")
		if _, err := os.Lstat(s.layerDir(id)); err != nil || mounted(hex) {
			continue
		}
		if _, err := s.sweepLayer(hex); err != nil {
			s.log.Warn("layer of a refused image is not removed", "layer", id, "err", err)
		}
	}
}
