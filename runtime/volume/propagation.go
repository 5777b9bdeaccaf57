package volume

import (
	"fmt"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"writ/runtime/oci"
)

// RecursiveReadOnly says whether what is mounted below the volume is read-only too. The
// error is upstream's and matches oci.ErrConfig.
func RecursiveReadOnly(m *corev1.VolumeMount) (bool, error) {
	if m.RecursiveReadOnly == nil || *m.RecursiveReadOnly == corev1.RecursiveReadOnlyDisabled {
		return false, nil
	}
	const resolve = "failed to resolve recursive read-only mode: volume %q requested recursive read-only mode, but it is not "
	if !m.ReadOnly {
		return false, oci.ConfigErrorf(resolve+"read-only", m.Name)
	}
	if p := m.MountPropagation; p != nil && *p != corev1.MountPropagationNone {
		return false, oci.ConfigErrorf(resolve+"compatible with propagation %q", m.Name, *p)
	}
	able := KernelMakesRecursive()
	if *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled && !able {
		return false, oci.ConfigErrorf(resolve+"supported by the runtime", m.Name)
	}
	return able, nil
}

// KernelMakesRecursive says that the kernel has mount_setattr(2), Linux 5.12 on.
func KernelMakesRecursive() bool {
	return unix.MountSetattr(-1, "", 0, &unix.MountAttr{}) != unix.ENOSYS
}

// checkPropagation refuses to promise a container what the node's mounts cannot do, in
// the words of the container runtimes of Kubernetes.
func checkPropagation(mode corev1.MountPropagationMode, path string) error {
	if mode == "" || mode == corev1.MountPropagationNone {
		return nil
	}
	list, err := mounts()
	if err != nil {
		return err
	}
	var at mount
	for _, m := range list {
		if within(path, m.target) && len(m.target) >= len(at.target) {
			at = m
		}
	}
	switch {
	case mode == corev1.MountPropagationBidirectional && !at.shared:
		return fmt.Errorf("path %q is mounted on %q but it is not a shared mount", path, at.target)
	case mode == corev1.MountPropagationHostToContainer && !at.shared && !at.slave:
		return fmt.Errorf("path %q is mounted on %q but it is not a shared or slave mount", path, at.target)
	}
	return nil
}

// hideable refuses to hide the daemon's directories in what shows its mounts on the node: the
// node, and the daemon itself, would not see them any more.
func hideable(m *corev1.VolumeMount, path string, hidden []string) error {
	if p := m.MountPropagation; p == nil || *p != corev1.MountPropagationBidirectional || len(hidden) == 0 {
		return nil
	}
	return fmt.Errorf("hostPath %s holds directories of this node's daemon, so it is not shown to pods with propagation %q", path, corev1.MountPropagationBidirectional)
}
