package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Prune removes every image for which keep is false, and every layer that no image
// needs. keep must be true for the image of every container that exists: a mounted
// layer is refused here, but a container that was not mounted yet cannot be seen.
// Images named by a file of the archive folder stay. It returns the removed IDs.
func (s *Store) Prune(keep func(id string) bool) ([]string, error) {
	var removed []string
	err := s.update(func(x *index) {
		archived := map[string]bool{}
		for _, a := range x.Archives {
			for _, t := range a.Names {
				archived[t.ID] = true
			}
		}
		x.drop(func(id string, r record) bool {
			gone := !archived[id] && !keep(id)
			if gone {
				removed = append(removed, id)
			}
			return gone
		})
	})
	if err != nil {
		return nil, fmt.Errorf("prune images: %w", err)
	}
	if len(removed) > 0 {
		s.log.Info("images removed", "images", removed)
	}
	return removed, s.sweep()
}

// sweep removes layer folders that nothing needs. A folder leaves its final name in
// one step, so a crash in the middle leaves no half layer behind.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.layersDir())
	if err != nil {
		return fmt.Errorf("prune layers: %w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("prune layers: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if name := e.Name(); strings.Contains(string(mounts), name[:min(shortName, len(name))]) {
			continue // by its own name, or by its shortcut
		}
		if err := s.sweepLayer(e.Name()); err != nil {
			errs = append(errs, fmt.Errorf("prune layer %s: %w", e.Name(), err))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) sweepLayer(hex string) error {
	trash, err := os.MkdirTemp(s.tmpDir(), "gone-")
	if err != nil {
		return err
	}
	err = s.unname(hex, filepath.Join(trash, hex))
	return errors.Join(err, os.RemoveAll(trash))
}

// unname takes its name from a layer that nothing needs. It holds the lock of the
// pins, so that no pull can come to count on the layer between the look and the rename.
func (s *Store) unname(hex, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := "sha256:" + hex
	if s.pinned[id] > 0 {
		return nil
	}
	for _, r := range s.current.Load().Images {
		for _, l := range r.Layers {
			if l == id {
				return nil
			}
		}
	}
	if err := os.Rename(s.layerDir(id), to); err != nil {
		return err
	}
	delete(s.extents, id)
	return s.dropShortcut(hex)
}
