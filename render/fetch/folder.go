package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"writ/disk"
)

// folder is where what was fetched lies, with records of what a name meant when it was fetched first. It
// may be used by several goroutines, and by several processes.
type folder struct {
	dir     string
	offline string // why nothing is fetched, with the remedy; empty if it is
	log     *slog.Logger
}

func newFolder(c Config, component string) *folder {
	return &folder{dir: c.Dir, offline: c.Offline, log: c.Log.With("component", component)}
}

// named is a file name for any text.
func named(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// readRecord reads a record; found is false if there is none.
func (f *folder) readRecord(name string, into any) (found bool, err error) {
	data, err := os.ReadFile(filepath.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(data, into)
}

func (f *folder) writeRecord(name string, record any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("keep what was fetched: %w", err)
	}
	return f.write(name, text)
}

// write makes a file that is there whole or not at all, also after a crash. One is written at a time, by
// whichever process.
func (f *folder) write(name string, data []byte) error {
	if err := f.writeAlone(name, data); err != nil {
		return fmt.Errorf("keep what was fetched: %w", err)
	}
	return nil
}

func (f *folder) writeAlone(name string, data []byte) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	defer dir.Close() // which unlocks it
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	return disk.Replace(filepath.Join(f.dir, name), data)
}
