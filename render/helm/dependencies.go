package helm

import (
	"path"
	"strings"

	yaml "go.yaml.in/yaml/v3"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
)

// remedy is what to do about dependencies that are not as Chart.lock has them.
const remedy = "run `helm dependency build` there and commit charts/"

// dependencies holds what a chart has below it against what Chart.yaml asks for and Chart.lock settled.
// Helm itself leaves out a dependency of the wrong version without a word.
func (l *loader) dependencies(c *chart.Chart, at string, inRepository bool, depth int) {
	for i, want := range c.Metadata.Dependencies {
		if want == nil {
			continue
		}
		report := func(format string, args ...any) {
			name := path.Join(at, "Chart.yaml")
			l.mistake(name, l.dependencyLine(name, inRepository, i), "dependency "+want.Name+": "+format, args...)
		}
		have := below(c, want)
		if have == nil && inRepository && strings.HasPrefix(want.Repository, "file://") {
			have = l.beside(c, want, at, depth)
			if have == nil {
				return
			}
		}
		if have == nil {
			report("is not in charts/; " + remedy)
			continue
		}
		version := have.Metadata.Version
		if !chartutil.IsCompatibleRange(want.Version, version) {
			report("charts/ has version %s, which is not %s; %s", version, want.Version, remedy)
			continue
		}
		if c.Lock == nil {
			continue
		}
		switch locked := locked(c.Lock, want); {
		case locked == "":
			report("is not in Chart.lock; run `helm dependency update` there and commit Chart.lock and charts/")
		case strings.TrimPrefix(locked, "v") != strings.TrimPrefix(version, "v"):
			report("charts/ has version %s, Chart.lock says %s; %s", version, locked, remedy)
		}
	}
}

// below is the chart that a dependency means, nil if there is none of that name. Of several versions
// the one that fits is meant.
func below(c *chart.Chart, want *chart.Dependency) (found *chart.Chart) {
	for _, sub := range c.Dependencies() {
		if sub.Name() == want.Name && (found == nil || chartutil.IsCompatibleRange(want.Version, sub.Metadata.Version)) {
			found = sub
		}
	}
	return found
}

// locked is the version that Chart.lock has for a dependency. The same chart may be there twice.
func locked(lock *chart.Lock, want *chart.Dependency) (version string) {
	for _, d := range lock.Dependencies {
		if d != nil && d.Name == want.Name && (version == "" || chartutil.IsCompatibleRange(want.Version, d.Version)) {
			version = d.Version
		}
	}
	return version
}

// beside reads a dependency that lies elsewhere in the repository (file://../NAME), nil after a mistake.
func (l *loader) beside(c *chart.Chart, want *chart.Dependency, at string, depth int) *chart.Chart {
	folder := path.Join(at, strings.TrimPrefix(want.Repository, "file://"))
	if path.IsAbs(strings.TrimPrefix(want.Repository, "file://")) || folder == ".." || strings.HasPrefix(folder, "../") {
		l.mistake(path.Join(at, "Chart.yaml"), 0, "dependency %s: %s leads out of the repository", want.Name, want.Repository)
		return nil
	}
	made := l.chart(l.folder(folder), folder, true, depth+1)
	if made != nil {
		c.AddDependency(made)
	}
	return made
}

// dependencyLine is where a dependency is written.
func (l *loader) dependencyLine(name string, inRepository bool, index int) int {
	if !inRepository {
		return 0
	}
	data, err := l.files.Read(name)
	var fields struct {
		Dependencies []yaml.Node `yaml:"dependencies"`
	}
	if err != nil || yaml.Unmarshal(data, &fields) != nil || index >= len(fields.Dependencies) {
		return 0
	}
	return fields.Dependencies[index].Line
}
