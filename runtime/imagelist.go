package runtime

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/image"
)

// kubelet's nodeStatusMaxImages and MaxNamesPerImageInNodeStatus.
const (
	mostStatusImages = 50
	mostStatusNames  = 5
)

// statusImages is what the node's status says of its images: the largest, each with some of its names, those
// by digest first.
func statusImages(list []image.Listed) []corev1.ContainerImage {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b image.Listed) int { return cmp.Compare(b.Size, a.Size) })
	var out []corev1.ContainerImage
	for _, l := range list[:min(len(list), mostStatusImages)] {
		names := slices.Concat(l.Digests, l.Refs)
		out = append(out, corev1.ContainerImage{Names: names[:min(len(names), mostStatusNames)], SizeBytes: l.Size})
	}
	return out
}
