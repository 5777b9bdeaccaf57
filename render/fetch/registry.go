package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ociremote "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"writ/manifest"
	"writ/render"
)

// chartLayer is what a registry calls the archive of a chart.
const chartLayer types.MediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// fromRegistry fetches a chart from an OCI registry, where its version is a tag; a tag has no "+".
func (r remote) fromRegistry(ctx context.Context, c manifest.Chart, repository string) ([]byte, error) {
	ref, err := name.NewTag(repository+":"+strings.ReplaceAll(c.Version, "+", "_"), name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", render.ErrRefused, err)
	}
	image, err := ociremote.Image(ref, ociremote.WithContext(ctx), ociremote.WithTransport(r.client.Transport), ociremote.WithAuth(authn.Anonymous), ociremote.WithUserAgent("writ"))
	if err != nil {
		return nil, answered(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, answered(err)
	}
	for _, l := range manifest.Layers {
		if l.MediaType != chartLayer {
			continue
		}
		if l.Size > maxArchive {
			return nil, fmt.Errorf("%w: the chart is larger than %d MiB", render.ErrRefused, maxArchive>>20)
		}
		layer, err := image.LayerByDigest(l.Digest)
		if err != nil {
			return nil, answered(err)
		}
		body, err := layer.Compressed() // held against its digest
		if err != nil {
			return nil, answered(err)
		}
		defer body.Close()
		data, err := io.ReadAll(io.LimitReader(body, maxArchive+1))
		if err != nil {
			return nil, answered(err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: it is no chart: no layer of it is of the type %s", render.ErrRefused, chartLayer)
}

// answered tells a registry's refusals from what may go away.
func answered(err error) error {
	var status *transport.Error
	if errors.As(err, &status) {
		return refusal(status.StatusCode, status.Error())
	}
	return err
}
