package render

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"writ/manifest"
	"writ/render/wire"
)

// Charts gets charts that do not lie in the repository.
type Charts interface {
	// Fetch returns a chart's archive and its digest, sha256:HEX. The error wraps ErrRefused when it says
	// something about the chart; any other says that it cannot be got now.
	Fetch(ctx context.Context, c manifest.Chart) (archive []byte, digest string, err error)
}

// ErrRefused is wrapped by errors that another try would not mend.
var ErrRefused = errors.New("refused")

// why is what such an error says.
func why(err error) string { return strings.Replace(err.Error(), ErrRefused.Error()+": ", "", 1) }

// kubernetesVersion is what charts find in .Capabilities.KubeVersion: the minor version whose types,
// defaults and rules are linked.
const kubernetesVersion = "v1.36.0"

// archives is what the paths of fetched charts begin with; no path of a repository does.
const archives = "/"

func isArchive(name string) bool { return strings.HasPrefix(name, archives) }

// job is a unit in the child's words. refused is why it is not rendered; the error says that it cannot
// be found out now.
func (w *worker) job(ctx context.Context, unit manifest.Unit) (job *wire.Job, refused string, err error) {
	if unit.Chart == nil {
		return &wire.Job{Kustomization: unit.Folder}, "", nil
	}
	values, err := json.Marshal(unit.Chart.Values)
	if err != nil {
		return nil, "", fmt.Errorf("values of chart %s: %w", unit.Chart.Name, err)
	}
	chart := &wire.Chart{
		Release: unit.Chart.Name, Namespace: unit.Chart.Namespace, Folder: unit.Folder, Values: values, SkipCRDs: unit.Chart.SkipCRDs,
		KubeVersion: kubernetesVersion, APIVersions: append(manifest.APIVersions(), unit.Chart.APIVersions...),
	}
	for _, name := range unit.Chart.ValueFiles {
		chart.ValueFiles = append(chart.ValueFiles, path.Join(path.Dir(unit.Source.Path), name))
	}
	if unit.Chart.Repository != "" {
		if chart.Archive, err = w.fetch(ctx, *unit.Chart); errors.Is(err, ErrRefused) {
			return nil, why(err), nil
		}
	}
	return &wire.Job{Chart: chart}, "", err
}

// fetch gets a chart's archive and returns the path under which the child finds it: one for each
// content, as the child keeps what it has read.
func (w *worker) fetch(ctx context.Context, c manifest.Chart) (string, error) {
	if w.config.Charts == nil {
		return "", fmt.Errorf("%w: is not in this repository, and charts are not fetched here", ErrRefused)
	}
	data, digest, err := w.config.Charts.Fetch(ctx, c)
	if err != nil {
		return "", err
	}
	name := c.Chart
	if name == "" {
		name = path.Base(c.Repository)
	}
	at := archives + path.Join(strings.ReplaceAll(digest, ":", "-"), name+"-"+c.Version+".tgz")
	w.files.archives[at] = data
	return at, nil
}
