package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"writ/disk"
)

// Folders are the volumes of claims that are folders of this node, below a directory that nobody else may enter. They
// outlive Pods, daemons and reboots; only Remove takes one away.
type Folders struct {
	Dir   string
	Calls *Calls
}

// What stands beside a folder: what is to be known of it on an empty store, and folders that are being removed. No
// volume has such a name.
const (
	recordSuffix  = "/record" // of a directory beside the files
	filesName     = "files"
	removedPrefix = ".removed-"
)

// Path is where the files of a volume lie.
func (o *Folders) Path(name string) string { return filepath.Join(o.Dir, name, filesName) }

func (o *Folders) record(name string) string { return filepath.Join(o.Dir, name) + recordSuffix }

// Make makes a folder, or finds it, and keeps record beside it. Every user may write to it, as to an emptyDir.
func (o *Folders) Make(name string, record []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, name), 0o700); err != nil {
		return fmt.Errorf("make volume: %w", err)
	}
	if old, err := os.ReadFile(o.record(name)); err != nil || !bytes.Equal(old, record) {
		if err := disk.Replace(o.record(name), record); err != nil {
			return fmt.Errorf("make volume %s: %w", name, err)
		}
	}
	if err := os.Mkdir(o.Path(name), unmade); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make volume: %w", err)
	}
	return finish(o.Path(name), -1)
}

// Records are what Make kept beside the folders, by the names of these. One that cannot be read is left out, with an
// error.
func (o *Folders) Records() (map[string][]byte, error) {
	entries, err := os.ReadDir(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	found := map[string][]byte{}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), removedPrefix) {
			continue
		}
		data, err := os.ReadFile(o.record(e.Name()))
		if err != nil {
			errs = append(errs, fmt.Errorf("read volume %s: %w", e.Name(), err))
			continue
		}
		found[e.Name()] = data
	}
	return found, errors.Join(errs...)
}

// Remove removes a folder with all that is in it; one that is not there is fine. It is set aside first: what is
// removed in part is never used again.
func (o *Folders) Remove(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	dir, aside := filepath.Join(o.Dir, name), filepath.Join(o.Dir, removedPrefix+name)
	if err := UnmountBelow(ctx, o.Calls, dir); err != nil { // a container may have mounted something there
		return err
	}
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("remove volume: %w", err)
	}
	if err := os.Rename(dir, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove volume: %w", err)
	}
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("remove volume: %w", err)
	}
	return nil
}

// Sweep ends removals that were cut off.
func (o *Folders) Sweep() error {
	left, err := filepath.Glob(filepath.Join(o.Dir, removedPrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range left {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// checkName refuses what is no name of a folder below Dir.
func checkName(name string) error {
	if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q is not the name of a volume", name)
	}
	return nil
}
