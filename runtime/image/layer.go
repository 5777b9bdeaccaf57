package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"writ/disk"
)

// blob is one layer as its source offers it, compressed or not.
type blob struct {
	size int64
	open func(ctx context.Context) (io.ReadCloser, error)
	// source keeps pulls from one slow source from holding up another.
	source string
	// slot waits until one more may be fetched from the source; nil: there is no bound.
	slot func(ctx context.Context, source string) (func(), error)
}

// layerDir is where the layer of a diff id lives once it is complete.
func (s *Store) layerDir(diffID string) string {
	return filepath.Join(s.layersDir(), strings.TrimPrefix(diffID, "sha256:"))
}

// layer makes sure that the layer is unpacked. The caller has pinned it.
func (s *Store) layer(ctx context.Context, diffID string, b blob, lim limits) error {
	unlock, err := s.layers.lock(ctx, diffID+" "+b.source)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(s.layerDir(diffID)); err == nil {
		return s.spendPresent(diffID, lim.whole)
	}
	work, err := os.MkdirTemp(s.tmpDir(), "layer-")
	if err != nil {
		return fmt.Errorf("unpack layer %s: %w: %w", diffID, ErrStorage, err)
	}
	defer os.RemoveAll(work)
	if b.slot != nil {
		release, err := b.slot(ctx, b.source)
		if err != nil {
			return err
		}
		defer release()
	}
	rc, err := b.open(ctx)
	if err != nil {
		return fmt.Errorf("open layer %s: %w", diffID, err)
	}
	defer rc.Close()
	root := filepath.Join(work, "root")
	if err := makeFolder(root, 0o755); err != nil {
		return fmt.Errorf("unpack layer %s: %w: %w", diffID, ErrStorage, err)
	}
	takes, err := unpack(ctx, root, rc, diffID, lim)
	if err != nil {
		return fmt.Errorf("unpack layer %s: %w", diffID, err)
	}
	if err := s.adopt(root, diffID); err != nil {
		return fmt.Errorf("keep layer %s: %w: %w", diffID, ErrStorage, err)
	}
	s.setExtent(diffID, takes)
	return nil
}

// spendPresent counts a layer that is here already, so that trying again does not
// let an image in that is too large.
func (s *Store) spendPresent(diffID string, whole *budget) error {
	if err := whole.spend(s.takes(diffID)); err != nil {
		return fmt.Errorf("use layer %s: %w", diffID, err)
	}
	return nil
}

// takes is what a layer that is here takes on disk. What cannot be measured counts as
// nothing: it is about to be found broken by who needs it.
func (s *Store) takes(diffID string) extent {
	s.mu.Lock()
	takes, known := s.extents[diffID]
	s.mu.Unlock()
	if known {
		return takes
	}
	takes, err := measure(s.layerDir(diffID))
	if err != nil {
		s.log.Warn("layer is not measured", "layer", diffID, "err", err)
		return extent{}
	}
	s.setExtent(diffID, takes)
	return takes
}

func (s *Store) setExtent(diffID string, e extent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extents[diffID] = e
}

// measure is for layers of which this process does not know, as they were unpacked by
// an earlier one.
func measure(dir string) (extent, error) {
	var e extent
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		e.files++
		if d.Type().IsRegular() {
			info, err := d.Info()
			if err != nil {
				return err
			}
			e.bytes += info.Size()
		}
		return nil
	})
	return e, err
}

// adopt writes the unpacked files through, then gives them their final name: after
// a power cut a layer folder is either whole or not there.
func (s *Store) adopt(root, diffID string) error {
	d, err := os.Open(root)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(d.Fd()))
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	err = os.Rename(root, s.layerDir(diffID))
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil // the same content came from another source meanwhile
	}
	if err != nil {
		return err
	}
	return disk.SyncFolder(s.layersDir())
}

// pin keeps Reclaim away from layers that a running pull will name. The returned
// function ends that.
func (s *Store) pin(diffIDs []string) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range diffIDs {
		s.pinned[d]++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, d := range diffIDs {
			if s.pinned[d]--; s.pinned[d] == 0 {
				delete(s.pinned, d)
			}
		}
	}
}
