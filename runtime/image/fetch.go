package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// bundle reads manifest and configuration, which the registry client holds against their digests. Layers are
// opened later, with the context of the pull.
func (f *fetch) bundle(ctx, pull context.Context) (bundle, error) {
	name, err := f.registry.name(f.src.domain, f.src.full)
	if err != nil {
		return bundle{}, err
	}
	desc, err := f.puller.Get(ctx, name)
	if err != nil {
		return bundle{}, err
	}
	b := bundle{digests: []string{desc.Digest.String()}}
	desc, err = f.forThisNode(ctx, desc, 0)
	if err != nil {
		return bundle{}, err
	}
	if d := desc.Digest.String(); d != b.digests[0] {
		b.digests = append(b.digests, d)
	}
	man, err := readManifest(desc.Manifest)
	if err != nil {
		return bundle{}, err
	}
	if man.Config.Size < 0 || man.Config.Size > f.limits.document {
		return bundle{}, fmt.Errorf("%w: configuration of %d bytes", ErrCorrupt, man.Config.Size)
	}
	img, err := desc.Image()
	if err != nil {
		return bundle{}, err
	}
	if b.config, err = img.RawConfigFile(); err != nil {
		return bundle{}, fmt.Errorf("read image configuration: %w", classify(err))
	}
	b.layers, err = f.layers(pull, man)
	return b, err
}

// forThisNode follows manifest lists to the manifest for this node.
func (f *fetch) forThisNode(ctx context.Context, desc *remote.Descriptor, depth int) (*remote.Descriptor, error) {
	if !isList(desc.MediaType, desc.Manifest) {
		return desc, nil
	}
	if depth == mostNested {
		return nil, errTooNested
	}
	list, err := readList(desc.Manifest)
	if err != nil {
		return nil, err
	}
	return first(candidates(list), list, func(child v1.Descriptor) (*remote.Descriptor, error) {
		name, err := f.registry.name(f.src.domain, f.src.at(child.Digest.String()))
		if err != nil {
			return nil, err
		}
		got, err := f.puller.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		if child.Size > 0 && got.Size != child.Size {
			return nil, fmt.Errorf("%w: manifest %s has %d bytes, the list says %d", ErrCorrupt, child.Digest, got.Size, child.Size)
		}
		return f.forThisNode(ctx, got, depth+1)
	})
}

// layers are opened when they are needed.
func (f *fetch) layers(pull context.Context, man *v1.Manifest) ([]blob, error) {
	out := make([]blob, len(man.Layers))
	for i, l := range man.Layers {
		full, err := f.registry.name(f.src.domain, f.src.at(l.Digest.String()))
		if err != nil {
			return nil, err
		}
		digest, ok := full.(name.Digest)
		if !ok {
			return nil, fmt.Errorf("%w: layer %d is named %s, want a digest", ErrCorrupt, i, l.Digest)
		}
		out[i] = blob{size: l.Size, source: f.src.domain, slot: f.registry.slot, open: func(ctx context.Context) (io.ReadCloser, error) {
			layer, err := f.puller.Layer(asDownload(ctx), digest)
			if err != nil {
				return nil, classify(err)
			}
			rc, err := layer.Compressed()
			if err != nil {
				return nil, classify(err)
			}
			return &sized{ReadCloser: rc, left: l.Size}, nil
		}}
	}
	return out, nil
}

// slot waits until another layer may be fetched from a registry.
func (c *registryClient) slot(ctx context.Context, domain string) (func(), error) {
	return c.slots.take(ctx, domain, atOnce)
}

// sized fails unless as many bytes come as the manifest says.
type sized struct {
	io.ReadCloser
	left int64
}

func (s *sized) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.left -= int64(n)
	switch {
	case s.left < 0:
		return n, fmt.Errorf("%w: the layer is larger than the manifest says", ErrCorrupt)
	case errors.Is(err, io.EOF) && s.left > 0:
		return n, fmt.Errorf("%w: the layer is %d bytes shorter than the manifest says", ErrCorrupt, s.left)
	}
	return n, err
}

// imageConfigs are the configurations of images that can be run. Very old tools left the type open.
var imageConfigs = map[types.MediaType]bool{
	types.OCIConfigJSON: true, types.DockerConfigJSON: true, "application/octet-stream": true, "": true,
}

// readManifest takes the manifest of an image, and nothing else that registries keep: signatures, charts,
// lists of materials.
func readManifest(raw []byte) (*v1.Manifest, error) {
	man, err := parseManifest(raw)
	if err != nil {
		return nil, err
	}
	if kind := artifactType(man); kind != "" {
		return nil, fmt.Errorf("%w: it is an artifact of type %s, not an image that can be run", ErrNoImage, kind)
	}
	for i, l := range man.Layers {
		switch {
		case l.Size < 0:
			return nil, fmt.Errorf("%w: layer %d has %d bytes", ErrCorrupt, i, l.Size)
		case strings.HasSuffix(string(l.MediaType), "+encrypted"):
			return nil, fmt.Errorf("%w: layer %d is encrypted", ErrNoImage, i)
		case !isLayer(l.MediaType):
			return nil, fmt.Errorf("%w: layer %d is a %s, not a layer of files", ErrNoImage, i, l.MediaType)
		}
	}
	return man, nil
}

func artifactType(man *v1.Manifest) string {
	switch {
	case !imageConfigs[man.Config.MediaType]:
		if man.ArtifactType != "" {
			return man.ArtifactType
		}
		return string(man.Config.MediaType)
	case man.ArtifactType != "" && !imageConfigs[types.MediaType(man.ArtifactType)]:
		return man.ArtifactType
	}
	return ""
}

func isLayer(m types.MediaType) bool {
	return m == "" || m.IsLayer() || m == "application/vnd.docker.image.rootfs.diff.tar.zstd" || m == types.DockerUncompressedLayer
}
