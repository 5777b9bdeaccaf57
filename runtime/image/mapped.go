package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// As says for whom an image is mounted.
type As struct {
	// Users is a user namespace whose root is to own what root owns in the image, nil for the node's own users.
	// First is that root on the node, and Stage an empty folder for the time of the mount.
	Users *os.File
	First uint32
	Stage string
	// Label is the SELinux label of every file, empty for none.
	Label string
}

// give makes an overlay the namespace's own. The result takes back what that needed until the overlay is mounted;
// it is never nil.
func (as *As) give(o *overlay) (unstage func(), err error) {
	staged, unstage, err := as.stage(o.lower)
	if err != nil {
		return unstage, err
	}
	o.lower = staged
	if o.upper != "" {
		err = os.Lchown(o.upper, int(as.First), int(as.First))
	}
	return unstage, err
}

// stage shows each layer with the namespace's users. The result takes that back.
func (as *As) stage(layers []string) (staged []string, unstage func(), err error) {
	unstage = func() {
		for _, dir := range staged {
			_ = unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			_ = os.Remove(dir)
		}
		_ = os.Remove(as.Stage)
	}
	if err := os.MkdirAll(as.Stage, 0o700); err != nil {
		return nil, unstage, err
	}
	for i, layer := range layers {
		dir := filepath.Join(as.Stage, strconv.Itoa(i))
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return staged, unstage, err
		}
		staged = append(staged, dir)
		if err := mapUsers(layer, dir, as.Users); err != nil {
			return staged, unstage, err
		}
	}
	return staged, unstage, nil
}

// clearStages takes layers away that a crash left shown with other users. Nobody else knows of them, and who
// removed the folders that they are in would remove the layers.
func (s *Store) clearStages() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(mounts)) {
		field := strings.Fields(line) // proc_pid_mountinfo(5)
		if len(field) < 6 || !slices.Contains(strings.Split(field[5], ","), "idmapped") {
			continue
		}
		if at := unescape.Replace(field[4]); s.isLower(at, filepath.Base(unescape.Replace(field[3]))) {
			s.log.Warn("layer that a crash left mounted is taken away", "mount", at)
			errs = append(errs, unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW))
		}
	}
	return errors.Join(errs...)
}

// unescape undoes what the table of mounts does to names.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// isLower says that a folder of a name is mounted at a path which containers have below them.
func (s *Store) isLower(at, name string) bool {
	mounted, err := os.Lstat(at)
	if err != nil {
		return false
	}
	for _, dir := range append([]string{s.skeletonDir(), filepath.Join(s.layersDir(), name)}, s.emptyDirs()...) {
		if st, err := os.Lstat(dir); err == nil && os.SameFile(st, mounted) {
			return true
		}
	}
	return false
}

// mapUsers mounts a folder at dir, to be read only, with the users of a user namespace (mount_setattr(2), Linux 5.12 on; which
// filesystems can do it is listed there).
func mapUsers(folder, dir string, users *os.File) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, folder, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open %s: %w", folder, err)
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_RDONLY, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("map the users of %s: %w (the filesystem must support id-mapped mounts)", folder, err)
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s: %w", folder, err)
	}
	return nil
}
