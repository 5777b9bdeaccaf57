package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"

	"writ/runtime/oci"
)

// unmade is the mode of a volume that is not finished, which no container has seen.
const unmade = 0

// emptyDir makes a volume once. A container that chose another owner or mode for it keeps them when a later daemon
// comes by, as with a kubelet.
func (s *Set) emptyDir(f *oci.Facts, v *corev1.Volume) error {
	dir := s.Path(v.Name)
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, unmade); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	medium := v.EmptyDir.Medium
	switch {
	case medium == corev1.StorageMediumDefault:
	case medium == corev1.StorageMediumMemory:
		if err := mountTmpfs(dir, unmade, memorySize(f, v.EmptyDir)); err != nil {
			return err
		}
	case v1helper.IsHugePageMedium(medium):
		if err := mountHugePages(dir, f.Pod, medium); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown storage medium %q", medium)
	}
	if propagated(&f.Pod.Spec, v.Name) {
		if err := share(dir); err != nil {
			return err
		}
	}
	return finish(dir, fsGroup(f.Pod))
}

// finish lets containers use a volume, once. The kernel is asked for what it knows: a container may have
// mounted something there that does not answer.
func finish(dir string, group int64) error {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_MODE, &st); err != nil {
		return fmt.Errorf("finish volume: %w", err)
	}
	if st.Mode&0o7777 != unmade {
		return nil
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

// memorySize is how large, in bytes, a volume in memory may get: what the node gives to Pods, the Pod's
// limit or the volume's own, whichever is the smallest. 0 is the kernel's choice.
func memorySize(f *oci.Facts, v *corev1.EmptyDirVolumeSource) int64 {
	size := f.Allocatable.Memory().Value()
	least := func(bytes int64) {
		if bytes > 0 && (size == 0 || bytes < size) {
			size = bytes
		}
	}
	if m := oci.PodResources(&f.Machine, f.Pod).Memory; m != nil && m.Limit != nil {
		least(*m.Limit)
	}
	if v.SizeLimit != nil {
		least(v.SizeLimit.Value())
	}
	return size
}

func mountHugePages(dir string, pod *corev1.Pod, medium corev1.StorageMedium) error {
	if mounted(dir) {
		return nil
	}
	size, err := hugePageSize(pod, medium)
	if err != nil {
		return err
	}
	if err := unix.Mount("nodev", dir, "hugetlbfs", 0, fmt.Sprintf("pagesize=%d,mode=%o", size.Value(), unmade)); err != nil {
		if errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("mount huge pages of %s: this node has none of that size: %w", size.String(), err)
		}
		return fmt.Errorf("mount huge pages of %s: %w", size.String(), err)
	}
	return nil
}

// hugePageSize is that of the medium, or the only one that the Pod's containers ask for.
func hugePageSize(pod *corev1.Pod, medium corev1.StorageMedium) (resource.Quantity, error) {
	var wanted, found resource.Quantity
	if medium != corev1.StorageMediumHugePages {
		size, err := v1helper.HugePageSizeFromMedium(medium)
		if err != nil {
			return found, err
		}
		wanted = size
	}
	for _, name := range requested(pod) {
		if !v1helper.IsHugePageResourceName(name) {
			continue
		}
		size, err := v1helper.HugePageSizeFromResourceName(name)
		switch {
		case err != nil:
			return found, err
		case !wanted.IsZero() && size.Cmp(wanted) != 0:
			continue
		case !found.IsZero() && found.Cmp(size) != 0:
			return found, fmt.Errorf("medium: %s can't be used if container requests multiple huge page sizes", medium)
		}
		found = size
	}
	if found.IsZero() {
		return found, fmt.Errorf("medium %s: hugePages storage requested, but there is no resource request for huge pages", medium)
	}
	return found, nil
}

// requested are the resources that a Pod or one of its containers asks for.
func requested(pod *corev1.Pod) []corev1.ResourceName {
	var names []corev1.ResourceName
	add := func(list corev1.ResourceList) {
		for name := range list {
			names = append(names, name)
		}
	}
	if pod.Spec.Resources != nil {
		add(pod.Spec.Resources.Requests)
	}
	for i := range pod.Spec.InitContainers {
		add(pod.Spec.InitContainers[i].Resources.Requests)
	}
	for i := range pod.Spec.Containers {
		add(pod.Spec.Containers[i].Resources.Requests)
	}
	return names
}

// propagated says that a container of the Pod wants to see, or to show, what is
// mounted in the volume later.
func propagated(spec *corev1.PodSpec, volume string) bool {
	wants := func(c *corev1.Container) bool {
		for i := range c.VolumeMounts {
			m := &c.VolumeMounts[i]
			if m.Name == volume && m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
				return true
			}
		}
		return false
	}
	for i := range spec.InitContainers {
		if wants(&spec.InitContainers[i]) {
			return true
		}
	}
	for i := range spec.Containers {
		if wants(&spec.Containers[i]) {
			return true
		}
	}
	return false
}
