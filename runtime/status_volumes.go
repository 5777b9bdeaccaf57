package runtime

import (
	corev1 "k8s.io/api/core/v1"
)

// volumeMounts is what a container's status says of its mounts: whether read-only holds for what is
// mounted below too.
func volumeMounts(o *Observed, c *corev1.Container) []corev1.VolumeMountStatus {
	var list []corev1.VolumeMountStatus
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := corev1.RecursiveReadOnlyDisabled
			if o.recursive(m) {
				mode = corev1.RecursiveReadOnlyEnabled
			}
			s.RecursiveReadOnly = &mode
		}
		list = append(list, s)
	}
	return list
}

// recursive says that the node makes a mount read-only with all below it.
func (o *Observed) recursive(m *corev1.VolumeMount) bool {
	if m.RecursiveReadOnly == nil || m.MountPropagation != nil && *m.MountPropagation != corev1.MountPropagationNone {
		return false
	}
	return *m.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled && o.RecursiveReadOnly
}
