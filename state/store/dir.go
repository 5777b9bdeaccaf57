package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// format is the number of the stored form. A store with a higher one is refused.
const format = 1

// Names below the folder of a store.
const (
	lockFile      = "lock"
	identityFile  = "store.json"
	logDir        = "log"
	worldDir      = "world"
	checkpointDir = "snapshots" // the name that raft.FileSnapshotStore gives it
)

// ErrUnusable says that a store is damaged or of a later version. What to do is in the error's text.
var ErrUnusable = errors.New("store unusable")

func unusable(dir string, err error) error {
	return fmt.Errorf("%w: %s: %w; it is left as it is; `writ up --rebuild` makes a new one from the repository and the running containers", ErrUnusable, dir, err)
}

// identity is what a store is made with, kept for its life.
type identity struct {
	Format  int       `json:"format"`
	Cluster uuid.UUID `json:"cluster"`
	Member  uuid.UUID `json:"member"` // this node among the voters of the log
	Made    bool      `json:"made"`   // it was opened once; before, nothing in it was promised to anybody
}

// lockDir makes the folder and holds it for this process until the file is closed.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the store's folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("close the store's folder to others: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 20))
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("store %s is in use by process %s", dir, strings.TrimSpace(string(holder)))
		}
		return nil, fmt.Errorf("lock store %s: %w", dir, err)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	if err != nil && !errors.Is(err, unix.ENOSPC) { // the lock holds without the number
		f.Close()
		return nil, fmt.Errorf("lock store %s: %w", dir, err)
	}
	return f, nil
}

// readIdentity reads or makes the identity. A store that was never opened to its end is made afresh.
func readIdentity(dir string, cluster uuid.UUID) (identity, error) {
	data, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(dir, cluster)
	}
	if err != nil {
		return identity{}, fmt.Errorf("open store: %w", err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil || id.Format == 0 || id.Cluster == uuid.Nil || id.Member == uuid.Nil {
		return identity{}, unusable(dir, fmt.Errorf("%s cannot be read", identityFile))
	}
	if id.Format > format {
		return identity{}, fmt.Errorf("%w: %s has format %d, this version of writ knows formats up to %d: start the newer version, or `writ up --rebuild`",
			ErrUnusable, dir, id.Format, format)
	}
	if !id.Made {
		for _, name := range []string{logDir, worldDir, checkpointDir} {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return identity{}, fmt.Errorf("begin the store again: %w", err)
			}
		}
	}
	return id, nil
}

func newIdentity(dir string, cluster uuid.UUID) (identity, error) {
	for _, name := range []string{logDir, worldDir, checkpointDir} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return identity{}, unusable(dir, fmt.Errorf("%s is missing beside %s", identityFile, name))
		}
	}
	if cluster == uuid.Nil {
		cluster = uuid.New()
	}
	id := identity{Format: format, Cluster: cluster, Member: uuid.New()}
	return id, id.write(dir)
}

// write replaces the file at once, and is on disk when it returns.
func (id identity) write(dir string) error {
	data, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("write %s: %w", identityFile, err)
	}
	temporary := filepath.Join(dir, identityFile+".new")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", identityFile, err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temporary, filepath.Join(dir, identityFile))
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", identityFile, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Rebuild removes the store in dir so that Open makes a new one, unless a process has it open. It
// answers the identity of the cluster that it held, for Config.Cluster; zero if that cannot be read.
func Rebuild(dir string) (uuid.UUID, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return uuid.Nil, err
	}
	defer lock.Close()
	var id identity
	if data, err := os.ReadFile(filepath.Join(dir, identityFile)); err == nil && json.Unmarshal(data, &id) != nil {
		id = identity{}
	}
	// The identity goes last: without it, what is left of the rest would be refused.
	for _, name := range []string{logDir, worldDir, checkpointDir, identityFile + ".new", identityFile} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return uuid.Nil, fmt.Errorf("remove the old store: %w", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return uuid.Nil, fmt.Errorf("remove the old store: %w", err)
	}
	return id.Cluster, nil
}

// freeBytes is the space that is left on the disk of a folder.
func freeBytes(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("look for free space: %w", err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}
