package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	optionPage   = 4095 // bytes of options that mount(2) takes
	optionString = 255  // bytes of one value that fsconfig(2) takes
)

// Mount stacks the image's layers at target, with upper to take what is written and
// work for overlayfs itself (on one filesystem, work empty); with both empty the mount
// is read-only. Missing folders are made, upper with the mode of a root folder. The
// caller unmounts before it removes upper and work.
func (s *Store) Mount(img Image, upper, work, target string) error {
	if (upper == "") != (work == "") {
		return fmt.Errorf("mount %s: upper and work folder go together", img.Ref)
	}
	if err := makeMountDirs(upper, work, target); err != nil {
		return fmt.Errorf("mount %s: %w", img.Ref, err)
	}
	lower := s.lower(img, upper == "")
	var err error
	if options, ok := mountOptions(lower, upper, work); ok {
		err = unix.Mount("overlay", target, "overlay", mountFlags(upper), options)
	} else {
		err = stack(lower, upper, work, target)
	}
	if err != nil {
		return fmt.Errorf("mount %s at %s: %w", img.Ref, target, err)
	}
	return nil
}

// Unmount ends a mount made by Mount. A target that is not mounted, or not there, is fine.
func (s *Store) Unmount(target string) error {
	err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

func makeMountDirs(upper, work, target string) error {
	for _, d := range []struct {
		path string
		mode os.FileMode
	}{{upper, 0o755}, {work, 0o700}, {target, 0o755}} {
		if d.path == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
			return err
		}
		if err := os.Mkdir(d.path, d.mode); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// lower lists folders from the top. Without an upper folder overlayfs wants two, and
// an image may have no layer at all: empty folders at the bottom make up the number.
func (s *Store) lower(img Image, readOnly bool) []string {
	out := make([]string, 0, len(img.Layers)+1)
	for i := len(img.Layers) - 1; i >= 0; i-- {
		out = append(out, s.layerDir(img.Layers[i]))
	}
	for _, dir := range s.emptyDirs() {
		if len(out) < 1 || (readOnly && len(out) < 2) {
			out = append(out, dir)
		}
	}
	return out
}

func mountFlags(upper string) uintptr {
	if upper == "" {
		return unix.MS_RDONLY
	}
	return 0
}

// mountOptions are for mount(2), which every kernel has. It is not ok if they are
// too long or a path holds what separates options.
func mountOptions(lower []string, upper, work string) (string, bool) {
	for _, p := range append([]string{upper, work}, lower...) {
		if strings.ContainsAny(p, `:,\`) {
			return "", false
		}
	}
	o := "lowerdir=" + strings.Join(lower, ":")
	if upper != "" {
		o += ",upperdir=" + upper + ",workdir=" + work
	}
	return o, len(o) <= optionPage
}

// stack mounts with one call per layer (fsconfig(2) "lowerdir+", Linux 6.7 on), which
// has no limit on the sum of the paths.
func stack(lower []string, upper, work, target string) error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open overlay: %w", err)
	}
	defer unix.Close(fd)
	for _, dir := range lower {
		if err := setDir(fd, "lowerdir+", dir); err != nil {
			return err
		}
	}
	attr := unix.MOUNT_ATTR_RDONLY
	if upper != "" {
		attr = 0
		if err := errors.Join(setDir(fd, "upperdir", upper), setDir(fd, "workdir", work)); err != nil {
			return err
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return fmt.Errorf("make overlay of %d layers: %w", len(lower), explain(fd, err))
	}
	mnt, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return fmt.Errorf("make overlay of %d layers: %w", len(lower), explain(fd, err))
	}
	defer unix.Close(mnt)
	return unix.MoveMount(mnt, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// setDir hands a long path over as an open folder (Linux 6.13 on).
func setDir(fd int, key, dir string) error {
	if len(dir) <= optionString {
		if err := unix.FsconfigSetString(fd, key, dir); err != nil {
			return fmt.Errorf("set %s to %s: %w", key, dir, explain(fd, err))
		}
		return nil
	}
	d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(d)
	if err := unix.FsconfigSetFd(fd, key, d); err != nil {
		return fmt.Errorf("set %s to %s: %w", key, dir, explain(fd, err))
	}
	return nil
}

// explain adds what the kernel says about a refused configuration.
func explain(fd int, err error) error {
	buf := make([]byte, 1024)
	n, rerr := unix.Read(fd, buf)
	if rerr != nil || n <= 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(buf[:n])))
}
