package state

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ArchiveImage begins the imageID of a container whose image a node took from its own folder of
// archives: whoever can write there, and no registry, answers for what runs.
const ArchiveImage = "archive://"

// FromArchive says whether a container's image is such a one.
func FromArchive(s *corev1.ContainerStatus) bool { return strings.HasPrefix(s.ImageID, ArchiveImage) }
