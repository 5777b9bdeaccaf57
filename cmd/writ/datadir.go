package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// imagesDir in the data folder is where an administrator puts archives.
	imagesDir = "images"
	// markerFile says that a folder is a data folder of writ, and so may be purged.
	markerFile = "writ-data"
)

// claim makes or takes a data folder. One that holds something else is refused.
func claim(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	marker := filepath.Join(dir, markerFile)
	if _, err := os.Lstat(marker); err == nil {
		return os.MkdirAll(filepath.Join(dir, imagesDir), 0o755)
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
	if err := os.Chmod(dir, 0o700); err != nil { // whoever put archives there first may have made it otherwise
		return fmt.Errorf("open data folder: %w", err)
	}
	if err := os.WriteFile(marker, []byte("This folder belongs to the daemon writ. `writ down --purge` deletes it.\n"), 0o600); err != nil {
		return fmt.Errorf("open data folder: %w", err)
	}
	return os.MkdirAll(filepath.Join(dir, imagesDir), 0o755)
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
