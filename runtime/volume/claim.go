package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/oci"
)

// Source is the volume that a claim of the Pod is bound to.
type Source struct {
	Volume *corev1.PersistentVolume
	// Folder says that it is one of Folders, by the volume's name. What Record gives is kept beside it; it is asked
	// when the folder is made ready, not for each container.
	Folder bool
	Record func() ([]byte, error)
}

// ByClaim says that the Pod names a claim, not what is behind it.
func ByClaim(v *corev1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil }

// backing is what is behind a volume: the volume itself, or what its claim is bound to.
type backing struct {
	*corev1.Volume
	folder   string // of Folders; Volume names no source then
	record   func() ([]byte, error)
	readOnly bool
	owned    bool // fsGroup is for what is in it
}

func (s *Set) backing(v *corev1.Volume) (backing, error) {
	if !ByClaim(v) {
		return backing{Volume: v}, nil
	}
	if s.Claim == nil {
		return backing{}, fmt.Errorf("volume %q: claims are not mounted by this node", v.Name)
	}
	from, err := s.Claim(v)
	if err != nil {
		return backing{}, err
	}
	b := backing{Volume: &corev1.Volume{Name: v.Name}, readOnly: v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly}
	spec := &from.Volume.Spec
	switch {
	case spec.VolumeMode != nil && *spec.VolumeMode == corev1.PersistentVolumeBlock:
		return b, fmt.Errorf("volume %q: PersistentVolume %s is a block device, which this node does not provide", v.Name, from.Volume.Name)
	case from.Folder:
		b.folder, b.record, b.owned = from.Volume.Name, from.Record, true
	case spec.Local != nil:
		b.HostPath, b.owned = &corev1.HostPathVolumeSource{Path: spec.Local.Path, Type: new(corev1.HostPathDirectory)}, true
	case spec.HostPath != nil:
		b.HostPath = spec.HostPath
	case spec.NFS != nil:
		b.NFS, b.readOnly = spec.NFS, b.readOnly || spec.NFS.ReadOnly
	default:
		return b, fmt.Errorf("volume %q: PersistentVolume %s is of a type that this node does not provide", v.Name, from.Volume.Name)
	}
	return b, nil
}

// claim makes what a claim is bound to ready. What is in it gets the Pod's group once, not again under the
// containers of a daemon before.
func (s *Set) claim(ctx context.Context, f *oci.Facts, v *corev1.Volume) error {
	b, err := s.backing(v)
	if err != nil {
		return err
	}
	if b.folder != "" {
		err = s.makeFolder(&b)
	} else {
		err = s.Prepare(ctx, f, b.Volume)
	}
	if err != nil || !b.owned || b.readOnly || fsGroup(f.Pod) < 0 {
		return err
	}
	if _, err := os.Lstat(s.Path(v.Name)); err == nil {
		return nil
	}
	if err := s.own(ctx, &b, f.Pod); err != nil {
		return fmt.Errorf("applyFSGroup failed for vol %s: %w", v.Name, err)
	}
	return os.MkdirAll(s.Path(v.Name), 0o700)
}

func (s *Set) makeFolder(b *backing) error {
	record, err := b.record()
	if err != nil {
		return err
	}
	return s.Folders.Make(b.folder, record)
}

// own gives what is in a volume to the Pod's group.
func (s *Set) own(ctx context.Context, b *backing, pod *corev1.Pod) error {
	path := ""
	if b.folder != "" {
		path = s.Folders.Path(b.folder)
	} else {
		h, _, err := OpenHostPath(b.HostPath, s.Own)
		if err != nil {
			return err
		}
		defer h.Close()
		path = h.Path()
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	policy := pod.Spec.SecurityContext.FSGroupChangePolicy
	return ownBelow(ctx, root, fsGroup(pod), policy != nil && *policy == corev1.FSGroupChangeOnRootMismatch)
}

// Bits that a group gets: what upstream gives it.
const (
	groupFile   = 0o660
	groupFolder = 0o770
)

// ownBelow gives all below root to a group that may read and write it, or, with lazy, nothing if root itself is the
// group's already. The root comes last: a walk that was cut off is seen by that.
func ownBelow(ctx context.Context, root *os.Root, group int64, lazy bool) error {
	if lazy {
		info, err := root.Lstat(".")
		if err != nil {
			return err
		}
		if owned(info, group) {
			return nil
		}
	}
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // another Pod uses the volume, too
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name == ".":
			return nil
		}
		return ownOne(root, name, group)
	})
	if err != nil {
		return err
	}
	return ownOne(root, ".", group)
}

func ownOne(root *os.Root, name string, group int64) error {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := root.Lchown(name, -1, int(group)); err != nil {
		return ignoreGone(err)
	}
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		return nil
	case mode.IsDir():
		mode |= groupFolder | fs.ModeSetgid
	default:
		mode |= groupFile
	}
	return ignoreGone(root.Chmod(name, mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)))
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// owned says that a folder is a group's, as ownBelow leaves it.
func owned(info fs.FileInfo, group int64) bool {
	sys, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(sys.Gid) == group && info.Mode().Perm()&groupFolder == groupFolder && info.Mode()&fs.ModeSetgid != 0
}
