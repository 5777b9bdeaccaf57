package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"writ/runtime/oci"
)

// Set is the volumes of one Pod below a directory of its own.
type Set struct {
	// Dir holds one directory for each volume that is not a hostPath.
	Dir string
	// Own are the daemon's directories, which no hostPath may show.
	Own []string
	// Token makes ServiceAccount tokens; nil means there are none.
	Token TokenFunc
}

// Path is where a volume lies; hostPath volumes lie elsewhere.
func (s *Set) Path(name string) string { return filepath.Join(s.Dir, name) }

// Prepare makes a volume and fills it. It may be repeated: a projected volume is
// brought up to date. The error is for the user.
func (s *Set) Prepare(f *oci.Facts, v *corev1.Volume) error {
	group := fsGroup(f.Pod)
	switch {
	case v.EmptyDir != nil:
		return s.emptyDir(v, group)
	case v.HostPath != nil:
		h, _, err := OpenHostPath(v.HostPath, s.Own)
		if err != nil {
			return err
		}
		return h.Close()
	case Projected(v):
		payload, err := Build(f, v, s.Token)
		if err != nil {
			return err
		}
		dir := s.Path(v.Name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if secretive(v) {
			if err := mountTmpfs(dir, 0o755, 0); err != nil {
				return err
			}
		}
		_, err = Write(dir, payload, group)
		return err
	}
	return fmt.Errorf("volume %q is of a type that this node does not provide", v.Name)
}

// Update brings a projected volume up to date that was prepared before. What is
// missing now leaves the old files in place, as upstream does.
func (s *Set) Update(f *oci.Facts, v *corev1.Volume) (changed bool, err error) {
	if !Projected(v) {
		return false, nil
	}
	payload, err := Build(f, v, s.Token)
	if err != nil {
		return false, err
	}
	return Write(s.Path(v.Name), payload, fsGroup(f.Pod))
}

// Remove unmounts and deletes all volumes. hostPaths are not touched.
func (s *Set) Remove() error {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, Unmount(s.Path(e.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.RemoveAll(s.Dir)
}

func secretive(v *corev1.Volume) bool {
	if v.Secret != nil {
		return true
	}
	return v.Projected != nil
}

func (s *Set) emptyDir(v *corev1.Volume, group int64) error {
	dir := s.Path(v.Name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if v.EmptyDir.Medium == corev1.StorageMediumMemory {
		var size int64
		if v.EmptyDir.SizeLimit != nil {
			size = v.EmptyDir.SizeLimit.Value()
		}
		if err := mountTmpfs(dir, 0o777, size); err != nil {
			return err
		}
	} else if v.EmptyDir.Medium != corev1.StorageMediumDefault {
		return fmt.Errorf("emptyDir medium %q is not provided by this node", v.EmptyDir.Medium)
	}
	mode := fs.FileMode(0o777)
	if group >= 0 {
		if err := os.Chown(dir, -1, int(group)); err != nil {
			return err
		}
		mode |= fs.ModeSetgid
	}
	return os.Chmod(dir, mode)
}

// fsGroup is the group that owns the volumes of a Pod, -1 if none does.
func fsGroup(pod *corev1.Pod) int64 {
	if s := pod.Spec.SecurityContext; s != nil && s.FSGroup != nil {
		return *s.FSGroup
	}
	return -1
}

// mountTmpfs mounts once; size 0 is the kernel's default.
func mountTmpfs(dir string, mode uint32, size int64) error {
	if mounted(dir) {
		return nil
	}
	options := "mode=" + strconv.FormatUint(uint64(mode), 8)
	if size > 0 {
		options += ",size=" + strconv.FormatInt(size, 10)
	}
	err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options+",noswap")
	if errors.Is(err, unix.EINVAL) { // kernels before 6.4 have no noswap
		err = unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
	}
	if err != nil {
		return fmt.Errorf("mount tmpfs at %s: %w", dir, err)
	}
	return nil
}

// MountShm gives a Pod its /dev/shm. It may be repeated.
func MountShm(dir string, size int64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return mountTmpfs(dir, 0o1777, size)
}

// mounted says whether something is mounted at dir: it lies on another device
// than its parent.
func mounted(dir string) bool {
	var self, parent unix.Stat_t
	if unix.Lstat(dir, &self) != nil || unix.Lstat(filepath.Dir(dir), &parent) != nil {
		return false
	}
	return self.Dev != parent.Dev
}

// Unmount takes everything off a mount point. What is not mounted, or not there,
// is fine; what is busy is detached and goes when its last user does.
func Unmount(dir string) error {
	for range 16 { // mounts may lie upon each other
		err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			err = unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		case errors.Is(err, unix.EPERM) && !mounted(dir):
			return nil // who may not mount has mounted nothing
		case err != nil:
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
	return fmt.Errorf("unmount %s: too many mounts upon each other", dir)
}
