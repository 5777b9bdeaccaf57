package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// shortName is how many digits of a layer's digest name its shortcut.
const shortName = 12

func (s *Store) shortcutsDir() string { return filepath.Join(s.dir, "l") }
func (s *Store) skeletonDir() string  { return filepath.Join(s.dir, "skeleton") }

// lower lists folders from the top. A writable mount has the skeleton at the bottom.
// Without an upper folder overlayfs wants two, and an image may have no layer at all:
// empty folders make up the number. A layer that the image has more than once, as builders
// make for steps that change nothing, is its topmost one, which covers all that the others
// could show: overlayfs takes no folder twice.
func (s *Store) lower(img Image, readOnly bool) []string {
	out := make([]string, 0, len(img.Layers)+2)
	for i, layer := range slices.Backward(img.Layers) {
		if !slices.Contains(img.Layers[i+1:], layer) {
			out = append(out, s.shortcut(layer))
		}
	}
	if !readOnly {
		return append(out, s.skeletonDir())
	}
	for _, dir := range s.emptyDirs() {
		if len(out) < 2 {
			out = append(out, dir)
		}
	}
	return out
}

// shortcut is a short name of a layer folder, made at its first use: the kernel keeps
// the options of every mount as they were written, and writes them out for everybody
// who reads the table of mounts. Digests that begin alike share a shortcut; the later
// one goes by its full name.
func (s *Store) shortcut(diffID string) string {
	full := s.layerDir(diffID)
	hex := filepath.Base(full)
	if len(hex) <= shortName {
		return full
	}
	short, to := filepath.Join(s.shortcutsDir(), hex[:shortName]), filepath.Join("..", "layers", hex)
	got, err := os.Readlink(short)
	if errors.Is(err, fs.ErrNotExist) {
		_ = os.Symlink(to, short) // another mount may do the same now
		got, err = os.Readlink(short)
	}
	if err != nil || got != to {
		return full
	}
	return short
}

// dropShortcut removes the short name of a layer that is gone.
func (s *Store) dropShortcut(hex string) error {
	short := filepath.Join(s.shortcutsDir(), hex[:min(shortName, len(hex))])
	if got, err := os.Readlink(short); err != nil || filepath.Base(got) != hex {
		return nil // there is none, or it is another layer's
	}
	return os.Remove(short)
}

// mountPoints are what every container has something mounted on. Where an image lacks
// one, it would be made in each container's upper folder.
var mountPoints = [...]string{"dev/", "etc/", "etc/hosts", "etc/hostname", "etc/resolv.conf", "proc/", "sys/"}

// makeSkeleton makes the lowest layer of every container: empty mount points.
// Whatever an image has in their place covers them.
func (s *Store) makeSkeleton() error {
	for _, name := range append([]string{"/"}, mountPoints[:]...) {
		path := filepath.Join(s.skeletonDir(), name)
		var err error
		if strings.HasSuffix(name, "/") {
			err = makeFolder(path, 0o755)
		} else {
			err = makeFile(path, 0o644)
		}
		if err != nil {
			return fmt.Errorf("make mount points: %w", err)
		}
	}
	return nil
}

func makeFile(path string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(mode), f.Close())
}
