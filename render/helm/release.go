package helm

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

// maxBody bounds a release as Helm stores it, in bytes: as base64 it has to fit into a Secret of 1 MiB.
// maxUnpacked bounds it without gzip.
const (
	maxBody     = 700 << 10
	maxUnpacked = 16 << 20
)

// describe makes the release as Helm's own tools know it, under gzip. One that is too large goes without the
// chart's files that are no templates, or is left out.
func (b *build) describe(texts map[string]string, values map[string]any) {
	hooks, manifests, err := releaseutil.SortManifests(texts, nil, releaseutil.InstallOrder)
	if err != nil {
		b.warn(b.chartFile, 0, "cannot be shown as a release of Helm: %v", err)
		return
	}
	var text strings.Builder
	for _, m := range manifests {
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", m.Name, m.Content)
	}
	r := release.Release{Name: b.job.Release, Namespace: b.job.Namespace, Chart: b.chart, Config: values, Manifest: text.String(), Hooks: hooks}
	body, err := pack(r)
	if errors.Is(err, errTooLarge) {
		lean := *b.chart
		lean.Files = []*common.File{}
		r.Chart = &lean
		body, err = pack(r)
	}
	if err != nil {
		b.warn(b.chartFile, 0, "cannot be shown as a release of Helm, which does not concern its objects: %v", err)
		return
	}
	b.release = body
}

var errTooLarge = errors.New("it is too large")

func pack(r release.Release) ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if len(data) > maxUnpacked || packed.Len() > maxBody {
		return nil, errTooLarge
	}
	return packed.Bytes(), nil
}
