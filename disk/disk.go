// Package disk writes small files that are whole: whoever opens one finds what was written before or what
// was written last, never a part. It knows nothing of what is in them, and keeps no file open.
//
// Invariant: a file has its name only once all of it is written. A crash may leave a hidden file beside
// it, which the next write takes away.
package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace makes or replaces a file that only its owner may read. It survives a loss of power once this
// returns. Two at once to one path are not allowed.
func Replace(path string, data []byte) error {
	if err := replace(path, data, (*os.File).Sync); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// ReplaceUnsynced is Replace, but a loss of power may take the file back or tear it. It costs no wait
// for the disk.
func ReplaceUnsynced(path string, data []byte) error {
	return replace(path, data, func(*os.File) error { return nil })
}

func replace(path string, data []byte, sync func(*os.File) error) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := create(temporary)
	if errors.Is(err, fs.ErrExist) { // a crash left it
		if err = os.Remove(temporary); err == nil {
			f, err = create(temporary)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = sync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}

func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// SyncFolder makes the names in a folder survive a loss of power.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
