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

	"writ/disk"
)

// format is the number of the stored form. Any other is refused: a higher one is of a later version,
// format 1 was not encrypted.
const format = 2

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
	Key     string    `json:"key"`    // by which the right key is known (key.check)
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

// readIdentity reads or makes the identity and the key. A store that was never opened to its end is made
// afresh.
func readIdentity(cfg Config) (identity, key, error) {
	data, err := os.ReadFile(filepath.Join(cfg.Dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(cfg)
	}
	if err != nil {
		return identity{}, nil, fmt.Errorf("open store: %w", err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil || id.Format == 0 || id.Cluster == uuid.Nil || id.Member == uuid.Nil {
		return identity{}, nil, unusable(cfg.Dir, fmt.Errorf("%s cannot be read", identityFile))
	}
	if id.Format > format {
		return identity{}, nil, fmt.Errorf("%w: %s has format %d, this version of writ knows formats up to %d: start the newer version, or `writ up --rebuild`",
			ErrUnusable, cfg.Dir, id.Format, format)
	}
	if id.Format < format {
		return identity{}, nil, unusable(cfg.Dir, fmt.Errorf("it has format %d, which is not encrypted, and this version of writ keeps only encrypted ones", id.Format))
	}
	if !id.Made {
		return id.again(cfg)
	}
	k, err := readKey(cfg.Key)
	if err == nil && k.check() != id.Key {
		err = fmt.Errorf("read key file %s: %w", cfg.Key, errOtherKey)
	}
	switch {
	case errors.Is(err, errNoKey), errors.Is(err, errGarbledKey), errors.Is(err, errOtherKey):
		return identity{}, nil, unusable(cfg.Dir, fmt.Errorf("%w; only the key that the store was made with opens it: put that back if there is a copy", err))
	case err != nil:
		return identity{}, nil, fmt.Errorf("open store: %w", err)
	}
	return id, k, nil
}

// again begins the store again; nothing in it was promised to anybody.
func (id identity) again(cfg Config) (identity, key, error) {
	for _, name := range []string{logDir, worldDir, checkpointDir} {
		if err := os.RemoveAll(filepath.Join(cfg.Dir, name)); err != nil {
			return identity{}, nil, fmt.Errorf("begin the store again: %w", err)
		}
	}
	return id.locked(cfg)
}

func newIdentity(cfg Config) (identity, key, error) {
	for _, name := range []string{logDir, worldDir, checkpointDir} {
		if _, err := os.Lstat(filepath.Join(cfg.Dir, name)); err == nil {
			return identity{}, nil, unusable(cfg.Dir, fmt.Errorf("%s is missing beside %s", identityFile, name))
		}
	}
	id := identity{Format: format, Cluster: cfg.Cluster, Member: uuid.New()}
	if id.Cluster == uuid.Nil {
		id.Cluster = uuid.New()
	}
	return id.locked(cfg)
}

// locked ties the identity to the key, which may be there already.
func (id identity) locked(cfg Config) (identity, key, error) {
	k, err := findKey(cfg.Key)
	if errors.Is(err, errGarbledKey) {
		return identity{}, nil, unusable(cfg.Dir, err)
	}
	if err != nil {
		return identity{}, nil, fmt.Errorf("open store: %w", err)
	}
	id.Key = k.check()
	return id, k, id.write(cfg.Dir)
}

// write replaces the file at once, and is on disk when it returns.
func (id identity) write(dir string) error {
	data, err := json.Marshal(id)
	if err == nil {
		err = disk.Replace(filepath.Join(dir, identityFile), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", identityFile, err)
	}
	return nil
}

// Rebuild removes the store in cfg.Dir so that Open makes a new one, unless a process has it open, and a
// key file that cannot be used. It answers the identity of the cluster that it held, for Config.Cluster;
// zero if that cannot be read.
func Rebuild(cfg Config) (uuid.UUID, error) {
	if err := cfg.Validate(); err != nil {
		return uuid.Nil, err
	}
	cfg = cfg.withDefaults()
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return uuid.Nil, err
	}
	defer lock.Close()
	var id identity
	if data, err := os.ReadFile(filepath.Join(cfg.Dir, identityFile)); err == nil && json.Unmarshal(data, &id) != nil {
		id = identity{}
	}
	// The identity goes last: without it, what is left of the rest would be refused.
	for _, name := range []string{logDir, worldDir, checkpointDir, identityFile} {
		if err := os.RemoveAll(filepath.Join(cfg.Dir, name)); err != nil {
			return uuid.Nil, fmt.Errorf("remove the old store: %w", err)
		}
	}
	if err := disk.SyncFolder(cfg.Dir); err != nil {
		return uuid.Nil, fmt.Errorf("remove the old store: %w", err)
	}
	if _, err := readKey(cfg.Key); errors.Is(err, errGarbledKey) {
		if err := os.Remove(cfg.Key); err != nil {
			return uuid.Nil, fmt.Errorf("remove the old key: %w", err)
		}
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
