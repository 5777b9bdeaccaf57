package volume

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

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

// mounted says whether something is mounted at dir, without asking what is. A dead file
// system need not be known to be mounted.
func mounted(dir string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &st)
	if err != nil || st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	var self, parent unix.Stat_t // before Linux 5.8: it lies on another device than its parent
	if unix.Lstat(dir, &self) != nil || unix.Lstat(filepath.Dir(dir), &parent) != nil {
		return false
	}
	return self.Dev != parent.Dev
}

// share makes a directory a mount that containers may be told about later mounts in.
func share(dir string) error {
	if !mounted(dir) {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", dir, err)
		}
	}
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share %s: %w", dir, err)
	}
	return nil
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

// detach takes a mount away with all below it, also one that is busy or does not answer:
// it goes when its last user does. It is cut off from its peers first, or the same
// would go from where it was bound from.
func detach(dir string) error {
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE|unix.MS_REC, ""); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil // nothing is mounted there
	}
	return lazily(dir)
}

func lazily(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	switch {
	case err == nil, errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EPERM) && !mounted(dir):
		return nil // who may not mount has mounted nothing
	}
	return fmt.Errorf("unmount %s: %w", dir, err)
}

// UnmountBelow takes off all that is mounted below dir, the last mounted first.
func UnmountBelow(ctx context.Context, c *Calls, dir string) error {
	list, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for i, m := range list {
		// What has others upon it is cut off from its peers, which would lose those others.
		// What has none is only detached: a dead file system answers nothing else.
		if !slices.ContainsFunc(list[i+1:], func(other mount) bool { return within(other.target, m.target) }) {
			continue
		}
		if _, err := do(ctx, c, "unmount "+m.target, func() (struct{}, error) {
			return struct{}{}, unix.Mount("", m.target, "", unix.MS_PRIVATE, "")
		}, nil); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", m.target, err)
		}
	}
	for _, m := range slices.Backward(list) {
		if _, err := do(ctx, c, "unmount "+m.target, func() (struct{}, error) { return struct{}{}, lazily(m.target) }, nil); err != nil {
			return err
		}
	}
	if list, err = mountsBelow(dir); err == nil && len(list) > 0 {
		err = fmt.Errorf("unmount %s: %d mounts are left, among them %s", dir, len(list), list[0].target)
	}
	return err
}

// mount is one line of the table of mounts.
type mount struct {
	target        string
	shared, slave bool
}

// mountsBelow lists what is mounted at or below dir in the order of mounting.
func mountsBelow(dir string) ([]mount, error) {
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir)) // never dir itself, which may not answer
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(parent, filepath.Base(dir))
	list, err := mounts()
	return slices.DeleteFunc(list, func(m mount) bool { return !within(m.target, dir) }), err
}

// mounts reads this process's table of mounts. It asks no file system.
func mounts() ([]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []mount
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 7 {
			continue
		}
		m := mount{target: unescape(fields[4])}
		for _, tag := range fields[6:] {
			if tag == "-" {
				break
			}
			m.shared = m.shared || strings.HasPrefix(tag, "shared:")
			m.slave = m.slave || strings.HasPrefix(tag, "master:")
		}
		list = append(list, m)
	}
	return list, lines.Err()
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
