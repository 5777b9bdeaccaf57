package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	optionPage   = 4095 // bytes of options that mount(2) takes
	optionString = 255  // bytes of one value that fsconfig(2) takes
)

// isLabel keeps a label, parts of which stand in the manifest of a pod, from being more than one mount option.
var isLabel = regexp.MustCompile(`^[A-Za-z0-9_.:,-]*$`)

// MountAs stacks the image's layers at target, with upper to take what is written and
// work for overlayfs itself (on one filesystem, work empty); with both empty the mount
// is read-only. Missing folders are made, upper with the mode of a root folder. The
// caller unmounts before it removes upper and work.
//
// What is written there is lost with the machine's power: a container never lives
// longer, so nothing of it is written through, neither when its programs ask for that
// nor, with everything else on the filesystem, when it is unmounted. An upper folder
// that was mounted once is therefore not to be mounted again.
func (s *Store) MountAs(img Image, upper, work, target string, as As) error {
	if (upper == "") != (work == "") {
		return fmt.Errorf("mount %s: upper and work folder go together", img.Ref)
	}
	if !isLabel.MatchString(as.Label) {
		return fmt.Errorf("mount %s: %q is no SELinux label", img.Ref, as.Label)
	}
	if err := makeMountDirs(upper, work, target); err != nil {
		return fmt.Errorf("mount %s: %w", img.Ref, err)
	}
	o := overlay{lower: s.lower(img, upper == ""), upper: upper, work: work, volatile: upper != "" && !s.durable.Load(), label: as.Label}
	if as.Users != nil {
		unstage, err := as.give(&o)
		defer unstage() // overlayfs has its own view of them
		if err != nil {
			return fmt.Errorf("mount %s: %w", img.Ref, err)
		}
	}
	if err := s.mount(&o, target); err != nil {
		return fmt.Errorf("mount %s at %s: %w", img.Ref, target, err)
	}
	return nil
}

// mount goes without volatile where the kernel does not know it: before Linux 5.10 none does.
func (s *Store) mount(o *overlay, target string) error {
	err := o.mount(target)
	if !o.volatile || !errors.Is(err, unix.EINVAL) {
		return err
	}
	o.volatile = false
	if o.mount(target) != nil {
		return err
	}
	s.durable.Store(true)
	return nil
}

// overlay is one mount to be. Without an upper folder it is read-only.
type overlay struct {
	lower       []string // from the top
	upper, work string
	volatile    bool   // nothing is written through
	label       string // of every file, for SELinux
}

func (o *overlay) mount(target string) error {
	if options, ok := o.options(); ok {
		return unix.Mount("overlay", target, "overlay", o.flags(), options)
	}
	return o.stack(target)
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
		if err := makeFolder(d.path, d.mode); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes a folder, if it is not there, that has its mode whatever the daemon's umask is: containers see it.
func makeFolder(path string, mode os.FileMode) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func (o *overlay) flags() uintptr {
	if o.upper == "" {
		return unix.MS_RDONLY
	}
	return 0
}

// options are for mount(2), which every kernel has. It is not ok if they are too
// long or a path holds what separates options.
func (o *overlay) options() (string, bool) {
	for _, p := range append([]string{o.upper, o.work}, o.lower...) {
		if strings.ContainsAny(p, `:,\`) {
			return "", false
		}
	}
	text := "lowerdir=" + strings.Join(o.lower, ":")
	if o.upper != "" {
		text += ",upperdir=" + o.upper + ",workdir=" + o.work
	}
	if o.volatile {
		text += ",volatile"
	}
	if o.label != "" {
		text += `,context="` + o.label + `"`
	}
	return text, len(text) <= optionPage
}

// stack mounts with one call per layer (fsconfig(2) "lowerdir+", Linux 6.7 on), which
// has no limit on the sum of the paths.
func (o *overlay) stack(target string) error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open overlay: %w", err)
	}
	defer unix.Close(fd)
	for _, dir := range o.lower {
		if err := setDir(fd, "lowerdir+", dir); err != nil {
			return err
		}
	}
	attr := unix.MOUNT_ATTR_RDONLY
	if o.upper != "" {
		attr = 0
		if err := errors.Join(setDir(fd, "upperdir", o.upper), setDir(fd, "workdir", o.work)); err != nil {
			return err
		}
	}
	if o.label != "" {
		if err := unix.FsconfigSetString(fd, "context", o.label); err != nil {
			return fmt.Errorf("set label %s: %w", o.label, explain(fd, err))
		}
	}
	if o.volatile {
		if err := unix.FsconfigSetFlag(fd, "volatile"); err != nil {
			return fmt.Errorf("set volatile: %w", explain(fd, err))
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return fmt.Errorf("make overlay of %d layers: %w", len(o.lower), explain(fd, err))
	}
	mnt, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return fmt.Errorf("make overlay of %d layers: %w", len(o.lower), explain(fd, err))
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
