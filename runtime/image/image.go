package image

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image is one image of the store, as found under a reference. It is a value: the
// store never changes it, and it stays true after the reference has moved on. What
// Config and Layers point to is shared and not to be written to.
type Image struct {
	// ID is the digest of the configuration, "sha256:...": equal for equal content
	// wherever it came from.
	ID string
	// Digest is that of the manifest or manifest list the reference named. It is
	// empty for an archive that has no manifest (an old docker save).
	Digest string
	// Ref is the reference asked for, in full: "docker.io/library/nginx:1.25".
	Ref string
	// Repository is Ref without tag and digest.
	Repository string
	// Config holds what the author set: user, environment, entry point, command,
	// working folder, stop signal, volumes.
	Config v1.Config
	// Layers are the diff ids ("sha256:..." of the unpacked tar), bottom first.
	Layers []string
	// Size is the sum of the layers in bytes as they were transferred.
	Size int64
	// FromArchive says that the reference was answered by the archive folder.
	FromArchive bool
	// Unasked says that the pull policy wanted the registry asked, and it was away.
	Unasked bool
}

// StatusID is what a container's status shows as its imageID: the digest in the
// repository, or the image's own ID when no manifest is known.
func (i Image) StatusID() string {
	if i.Digest == "" {
		return i.ID
	}
	return i.Repository + "@" + i.Digest
}

// Access says on whose behalf an image is asked for.
type Access struct {
	// Namespace of the pod.
	Namespace string
	// Secrets are its imagePullSecrets, in order.
	Secrets []Secret
}

// Secret is the content of one pull secret. It is used for one call and never kept.
type Secret struct {
	// Name is for messages only.
	Name string
	// Data is a Docker configuration: .dockerconfigjson, or the older .dockercfg.
	Data []byte
}
