package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"writ/sockets"
)

const (
	// imagesDir in the data folder is where an administrator puts archives.
	imagesDir = "images"
	// markerFile says that a folder is a data folder of writ, and so may be purged.
	markerFile = "writ-data"
)

// claim makes or takes a data folder. One that holds something else, or belongs to somebody else, is refused.
func claim(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	if err := own(dir); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	marker := filepath.Join(dir, markerFile)
	if _, err := os.Lstat(marker); err == nil {
		return closed(dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open data folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	for _, e := range entries {
		if e.Name() != imagesDir && e.Name() != "lost+found" {
			return fmt.Errorf("open data folder %s: it holds %s, which is not writ's; give an empty folder", dir, e.Name())
		}
	}
	if err := os.WriteFile(marker, []byte("This folder belongs to the daemon writ. `writ down --purge` deletes it.\n"), 0o600); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	return closed(dir)
}

// closed makes the folder what only its owner sees, whoever put archives there first, with the folder for them.
func closed(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	return os.MkdirAll(filepath.Join(dir, imagesDir), 0o755)
}

// own refuses a folder that somebody else could change: what lies in it is trusted.
func own(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d; give a folder of user %d", dir, s.Uid, os.Geteuid())
	}
	return nil
}

// claimRun makes or takes a run folder. It may hold other things, but nobody else may change them.
func claimRun(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open run folder: %w", err)
	}
	if err := own(dir); err != nil {
		return fmt.Errorf("open run folder: %w", err)
	}
	if info, err := os.Stat(dir); err != nil {
		return fmt.Errorf("open run folder: %w", err)
	} else if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("open run folder: others may write to %s (mode %o); give a folder of its own", dir, info.Mode().Perm())
	}
	return nil
}

// purgeRun deletes what the daemon keeps in a run folder, and the folder if nothing else is in it: it
// has no marker, and may be one like /run.
func purgeRun(dir string) error {
	var errs []error
	for _, name := range []string{socketName, sockets.SocketName, "pods", "netns"} {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	if left, err := os.ReadDir(dir); err == nil && len(left) == 0 {
		if err := os.Remove(dir); err != nil && !errors.Is(err, syscall.EBUSY) { // a mount point stays
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

// inside says that one path is another or lies below it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// purge deletes a data folder, the marker last, so that what is left after a crash can be purged.
// A folder that is a mount point stays, empty.
func purge(dir string) error {
	marker := filepath.Join(dir, markerFile)
	if _, err := os.Lstat(marker); err != nil {
		return fmt.Errorf("purge %s: it is no data folder of writ: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	for _, e := range entries {
		if e.Name() == markerFile || e.Name() == "lost+found" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("purge: %w", err)
		}
	}
	if err := os.Remove(marker); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if left, readErr := os.ReadDir(dir); readErr != nil || len(left) > 0 {
			return fmt.Errorf("purge: %w", err)
		}
	}
	return nil
}
