package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The writer's own names in a volume: `..data` points to the directory of the
// present version, every visible file to what lies behind `..data`.
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
	versionGlob = "..v*"
)

// Write makes dir hold exactly the payload and says whether anything changed.
// The change is one rename; a crash at any point leaves the old or the new set
// and at most a directory that the next Write removes. group, if not negative,
// may read every file (fsGroup).
func Write(dir string, p Payload, group int64) (changed bool, err error) {
	current, _ := os.Readlink(filepath.Join(dir, dataLink))
	if current != "" && same(filepath.Join(dir, current), p, group) {
		return false, errors.Join(links(dir, p), sweep(dir, current))
	}
	version, err := os.MkdirTemp(dir, versionGlob)
	if err != nil {
		return false, fmt.Errorf("write volume: %w", err)
	}
	if err := fill(version, p, group); err != nil {
		os.RemoveAll(version)
		return false, fmt.Errorf("write volume: %w", err)
	}
	name := filepath.Base(version)
	temporary := filepath.Join(dir, newDataLink)
	_ = os.Remove(temporary)
	if err := os.Symlink(name, temporary); err != nil {
		return false, fmt.Errorf("write volume: %w", err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, dataLink)); err != nil {
		return false, fmt.Errorf("write volume: %w", err)
	}
	return true, errors.Join(links(dir, p), sweep(dir, name))
}

func fill(version string, p Payload, group int64) error {
	if err := os.Chmod(version, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		file := p[name]
		full := filepath.Join(version, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, file.Data, 0o600); err != nil {
			return err
		}
		gid := -1
		if group >= 0 {
			gid = int(group)
		}
		if file.UID >= 0 || gid >= 0 {
			if err := os.Lchown(full, int(file.UID), gid); err != nil {
				return err
			}
		}
		if err := os.Chmod(full, fileMode(file, group)); err != nil {
			return err
		}
	}
	return nil
}

// fileMode adds what upstream's volume ownership adds: the group may read.
func fileMode(f File, group int64) fs.FileMode {
	m := fs.FileMode(f.Mode & 0o777)
	if group >= 0 {
		m |= 0o440
	}
	return m
}

// same says whether a version on disk holds exactly the payload.
func same(version string, p Payload, group int64) bool {
	found := 0
	err := filepath.WalkDir(version, func(full string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(version, full)
		if err != nil {
			return err
		}
		want, ok := p[name]
		if !ok {
			return errDiffers
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Mode().Perm() != fileMode(want, group) || info.Size() != int64(len(want.Data)) {
			return errDiffers
		}
		data, err := os.ReadFile(full)
		if err != nil {
			return err
		}
		if !bytes.Equal(data, want.Data) {
			return errDiffers
		}
		found++
		return nil
	})
	return err == nil && found == len(p)
}

var errDiffers = errors.New("differs")

// links makes the visible names: the first element of every path links to
// behind ..data, and no other name is visible.
func links(dir string, p Payload) error {
	visible := map[string]bool{}
	for name := range p {
		first, _, _ := strings.Cut(name, "/")
		visible[first] = true
	}
	var errs []error
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), ".."):
		case !visible[e.Name()]:
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		default:
			if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && to == filepath.Join(dataLink, e.Name()) {
				delete(visible, e.Name())
			} else {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(visible)) {
		errs = append(errs, os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// sweep removes versions other than the present one.
func sweep(dir, keep string) error {
	old, err := filepath.Glob(filepath.Join(dir, versionGlob))
	if err != nil {
		return err
	}
	var errs []error
	for _, v := range old {
		if filepath.Base(v) != keep {
			errs = append(errs, os.RemoveAll(v))
		}
	}
	return errors.Join(errs...)
}
