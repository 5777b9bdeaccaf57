package manifest

import corev1 "k8s.io/api/core/v1"

// Images are the references of the images that a pod names, as they are written: those of its init containers,
// of its containers and of its volumes. One that is named twice is there twice.
func Images(spec *corev1.PodSpec) []string {
	var out []string
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			out = append(out, list[i].Image)
		}
	}
	for i := range spec.Volumes {
		if v := spec.Volumes[i].Image; v != nil && v.Reference != "" {
			out = append(out, v.Reference)
		}
	}
	return out
}
