package oci

import corev1 "k8s.io/api/core/v1"

// access is what a container may do with what it is shown.
func (b *Bind) access() []string {
	var options []string
	switch {
	case b.RecursiveReadOnly:
		options = append(options, "rro")
	case b.ReadOnly:
		options = append(options, "ro")
	default:
		options = append(options, "rw")
	}
	if b.NoExec {
		options = append(options, "noexec")
	}
	return options
}

// rootPropagation is what the container's mounts have to do with the node's, so that what a
// bind promises can be: empty is the runtime's own choice, to see what the node mounts.
func rootPropagation(binds []Bind) string {
	out := ""
	for i := range binds {
		switch binds[i].Propagation {
		case corev1.MountPropagationBidirectional:
			return "rshared"
		case corev1.MountPropagationHostToContainer:
			out = "rslave"
		}
	}
	return out
}
