package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"writ/disk"
	"writ/runtime/shim"
)

// idsPerPod is how many users a Pod with a user namespace has, as with the kubelet.
const idsPerPod = 1 << 16

// UserIDs are the users of the node that Pods with a user namespace get, a range of 65536 each. The zero value is
// as many ranges as the node takes Pods, from 65536 on.
type UserIDs struct{ First, Length uint32 }

func (u UserIDs) filled(maxPods int) UserIDs {
	if u == (UserIDs{}) {
		return UserIDs{First: idsPerPod, Length: uint32(maxPods) * idsPerPod}
	}
	return u
}

// Validate follows the kubelet's rules: whole ranges, never the node's own users.
func (u UserIDs) Validate() error {
	switch {
	case u == (UserIDs{}):
		return nil
	case u.First < idsPerPod || u.First%idsPerPod != 0:
		return fmt.Errorf("runtime: users of pods begin with %d, it must be a multiple of %d, above 0", u.First, idsPerPod)
	case u.Length == 0 || u.Length%idsPerPod != 0 || uint64(u.First)+uint64(u.Length) > 1<<32:
		return fmt.Errorf("runtime: there are %d users for pods, it must be a multiple of %d and end below 2^32", u.Length, idsPerPod)
	}
	return nil
}

// userRanges hands out the ranges. Which Pod has which is in the Pod's own directory, and free when that is gone.
type userRanges struct {
	all  UserIDs
	file func(types.UID) string

	mu   sync.Mutex
	used map[uint32]types.UID // by the first user
}

// newUserRanges knows the ranges of the Pods that are on disk.
func newUserRanges(all UserIDs, file func(types.UID) string, found []types.UID) *userRanges {
	u := &userRanges{all: all, file: file, used: map[uint32]types.UID{}}
	for _, uid := range found {
		if r, err := u.read(uid); err == nil {
			u.used[r.First] = uid
		}
	}
	return u
}

// of is the Pod's range: the one that it has, or else one that nobody has. The Pod's directory is there.
func (u *userRanges) of(uid types.UID) (*shim.IDRange, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch r, err := u.read(uid); {
	case err == nil:
		u.used[r.First] = uid
		return r, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("user namespace: %w", err)
	}
	for first := uint64(u.all.First); first < uint64(u.all.First)+uint64(u.all.Length); first += idsPerPod {
		r := shim.IDRange{First: uint32(first), Length: idsPerPod}
		if owner, taken := u.used[r.First]; taken && owner != uid && exists(u.file(owner)) {
			continue
		}
		data, err := json.Marshal(r)
		if err == nil {
			err = disk.Replace(u.file(uid), data)
		}
		if err != nil {
			return nil, fmt.Errorf("user namespace: %w", err)
		}
		u.used[r.First] = uid
		return &r, nil
	}
	return nil, errors.New("could not find an empty slot to allocate a user namespace")
}

func (u *userRanges) read(uid types.UID) (*shim.IDRange, error) {
	data, err := os.ReadFile(u.file(uid))
	if err != nil {
		return nil, err
	}
	var r shim.IDRange
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", u.file(uid), err)
	}
	if r.First < idsPerPod || r.Length != idsPerPod {
		return nil, fmt.Errorf("read %s: users from %d on cannot be", u.file(uid), r.First)
	}
	return &r, nil
}

func (p podPaths) users() string  { return filepath.Join(p.data, "users") }
func (p podPaths) labels() string { return filepath.Join(p.data, "labels") }
func (p podPaths) pause() string  { return filepath.Join(p.box(), "pause") }

// openWay lets the root of a Pod's user namespace reach what is mounted for it. On the way it may pass through the data
// directory, where everything else is closed to other users first; what is the Pod's belongs to it.
func (w *worker) openWay(users *shim.IDRange, own ...string) error {
	top := w.r.cfg.DataDir
	pods := filepath.Join(top, "pods")
	entries, err := os.ReadDir(top)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Type()&fs.ModeSymlink != 0 || info.Mode().Perm()&0o077 == 0 || e.Name() == filepath.Base(pods) {
			continue
		}
		if err := os.Chmod(filepath.Join(top, e.Name()), info.Mode().Perm()&0o700); err != nil {
			return err
		}
	}
	for _, dir := range []string{pods, top} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return err
		}
	}
	for _, dir := range own {
		if err := os.Chown(dir, int(users.First), int(users.First)); err != nil {
			return err
		}
	}
	return reachable(filepath.Dir(top))
}

// reachable says which folder above keeps other users out.
func reachable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("user namespace: other users may not pass through %s, the data directory must be where they may (mode 0711)", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
