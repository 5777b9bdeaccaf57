package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"writ/runtime/shim"
)

// paths knows where things lie in a pod directory.
type paths struct{ dir string }

func (p paths) lock() string                { return filepath.Join(p.dir, "lock") }
func (p paths) self() string                { return filepath.Join(p.dir, "shim.json") }
func (p paths) sandbox() string             { return filepath.Join(p.dir, "sandbox.json") }
func (p paths) runc() string                { return filepath.Join(p.dir, "runc") }
func (p paths) containers() string          { return filepath.Join(p.dir, "c") }
func (p paths) container(id string) string  { return filepath.Join(p.dir, "c", id) }
func (p paths) request(id string) string    { return filepath.Join(p.container(id), "config.json") }
func (p paths) state(id string) string      { return filepath.Join(p.container(id), "state.json") }
func (p paths) pin(id string) string        { return filepath.Join(p.container(id), "pidfd") }
func (p paths) journal(id string) string    { return filepath.Join(p.container(id), "log.journal") }
func (p paths) fifo(id, name string) string { return filepath.Join(p.container(id), name) }

// durability says what a write must survive. A killed shim loses nothing that
// was written at all; fsync is for what must outlive the machine.
type durability bool

const (
	survivesKill  durability = false
	survivesCrash durability = true
)

// writeJSON replaces the file by a whole new one.
func writeJSON(path string, v any, d durability) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	return writeFile(path, data, d)
}

func writeFile(path string, data []byte, d durability) error {
	temp := path + ".new"
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil && d == survivesCrash {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		return err
	}
	if d == survivesCrash {
		return syncDir(filepath.Dir(path))
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// readJSON reports whether the file was there.
func readJSON(path string, v any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("decode %s: %w", path, err)
	}
	return true, nil
}

// self is what a shim writes about itself when it starts.
type self struct {
	PID         int    `json:"pid"`
	PIDStart    uint64 `json:"pidStart"`
	BootID      string `json:"bootID"`
	Version     int    `json:"version"`
	Build       string `json:"build,omitempty"`
	Incarnation uint64 `json:"incarnation"`
}

// sandboxRecord is the sandbox on disk.
type sandboxRecord struct {
	shim.SandboxState
	BootID     string `json:"bootID"`
	Pause      int    `json:"pause,omitempty"` // process 1 of a shared pid namespace
	PauseStart uint64 `json:"pauseStart,omitempty"`
}

func (r *sandboxRecord) pause() identity { return identity{r.Pause, r.PauseStart, r.BootID} }
