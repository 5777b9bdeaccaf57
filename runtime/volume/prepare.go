package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/oci"
)

// Set is the volumes of one Pod below a directory of its own.
type Set struct {
	// Dir holds one directory for each volume whose files are not elsewhere.
	Dir string
	// Folders are the node's volumes that outlive Pods. Claim finds what a volume's claim is bound to; nil means there
	// are no claims. Its error is for the user.
	Folders *Folders
	Claim   func(v *corev1.Volume) (Source, error)
	// Own are the daemon's directories, which no hostPath may show.
	Own []string
	// Calls makes what may hang. All Sets of a node have the same.
	Calls *Calls
	// Token makes ServiceAccount tokens; nil means there are none.
	Token TokenFunc
	// Image mounts the image of a volume, read-only; nil means there are none.
	Image func(v *corev1.Volume, target string) error
}

// Path is where a volume lies; hostPaths and folders of claims lie elsewhere.
func (s *Set) Path(name string) string { return filepath.Join(s.Dir, name) }

// Prepare makes a volume and fills it. It may be repeated: a projected volume is
// brought up to date. The error is for the user.
func (s *Set) Prepare(ctx context.Context, f *oci.Facts, v *corev1.Volume) error {
	switch {
	case v.EmptyDir != nil:
		return s.emptyDir(f, v)
	case v.HostPath != nil:
		_, err := do(ctx, s.Calls, hostPathSource(v), func() (struct{}, error) {
			h, _, err := OpenHostPath(v.HostPath, s.Own)
			if err == nil {
				err = h.Close()
			}
			return struct{}{}, err
		}, nil)
		return err
	case v.NFS != nil:
		return s.nfs(ctx, v)
	case ByClaim(v):
		return s.claim(ctx, f, v)
	case v.Image != nil:
		return nil // mounted when a container of the Pod is made, for its image is pulled like a container's
	case Projected(v):
		_, err := s.project(f, v)
		return err
	}
	return fmt.Errorf("volume %q is of a type that this node does not provide", v.Name)
}

// project writes the files of a volume that is made of data.
func (s *Set) project(f *oci.Facts, v *corev1.Volume) (changed bool, err error) {
	payload, err := Build(f, v, s.Token)
	if err != nil {
		return false, err
	}
	dir := s.Path(v.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	if secretive(v) {
		if err := mountTmpfs(dir, 0o755, 0); err != nil {
			return false, err
		}
	}
	return Write(dir, payload, fsGroup(f.Pod))
}

// Update brings a projected volume up to date that was prepared before. What is
// missing now leaves the old files in place, as upstream does.
func (s *Set) Update(f *oci.Facts, v *corev1.Volume) (changed bool, err error) {
	if !Projected(v) {
		return false, nil
	}
	return s.project(f, v)
}

// Remove unmounts and deletes all volumes, with what containers mounted in them.
// hostPaths and folders of claims are not touched.
func (s *Set) Remove(ctx context.Context) error {
	if _, err := os.Lstat(s.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := UnmountBelow(ctx, s.Calls, s.Dir); err != nil {
		return err
	}
	return os.RemoveAll(s.Dir)
}

// RemoveOne unmounts and deletes one volume that is a directory of the node's own, with what
// containers mounted in it.
func (s *Set) RemoveOne(ctx context.Context, name string) error {
	if err := UnmountBelow(ctx, s.Calls, s.Path(name)); err != nil {
		return err
	}
	return os.RemoveAll(s.Path(name))
}

// Mounted says that something is mounted where a volume lies.
func (s *Set) Mounted(name string) bool { return mounted(s.Path(name)) }

// hostPathSource is the same for all Pods that show the path.
func hostPathSource(v *corev1.Volume) string { return "hostPath " + filepath.Clean(v.HostPath.Path) }

func secretive(v *corev1.Volume) bool {
	if v.Secret != nil {
		return true
	}
	return v.Projected != nil
}

// fsGroup is the group that owns the volumes of a Pod, -1 if none does.
func fsGroup(pod *corev1.Pod) int64 {
	if s := pod.Spec.SecurityContext; s != nil && s.FSGroup != nil {
		return *s.FSGroup
	}
	return -1
}
