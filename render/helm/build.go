package helm

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"

	"writ/render/wire"
)

// maxRendered bounds what one chart renders to, in bytes.
const maxRendered = 16 << 20

// Build renders a chart as a release. What is wrong is in the result.
func Build(files *wire.Files, job wire.Chart) wire.Result {
	b := build{loader: newLoader(files), job: job}
	heard, stop := listen()
	defer stop()
	b.render()
	if len(b.mistakes) > 0 {
		return wire.Result{Mistakes: b.mistakes}
	}
	for _, line := range heard() {
		b.warn("", 0, "%s", line)
	}
	return wire.Result{Documents: b.documents, Warnings: b.warnings, Release: b.release}
}

// build is one chart that is being rendered.
type build struct {
	*loader
	job       wire.Chart
	chart     *chart.Chart
	templates map[string]source // by the name that the engine knows
	documents []wire.Document
	warnings  []wire.Note
	release   []byte // as Helm stores it, nil if it cannot be
}

// source is a template as somebody wrote it.
type source struct{ path, text string }

func (b *build) warn(name string, line int, format string, args ...any) {
	b.warnings = append(b.warnings, wire.Note{Path: name, Line: line, What: fmt.Sprintf(format, args...)})
}

// render does one step after the other; each ends it that has found a mistake.
func (b *build) render() {
	values := b.values()
	b.chart = b.load(b.job)
	if len(b.mistakes) > 0 {
		return
	}
	given, ok := b.coalesce(values)
	if !ok {
		return
	}
	texts := b.twice(given)
	if len(b.mistakes) > 0 {
		return
	}
	objects := b.objects(texts)
	if len(b.mistakes) > 0 {
		return
	}
	b.finish(objects, texts, values)
}

// coalesce settles which dependencies are part of the release, and what its templates are given.
func (b *build) coalesce(values map[string]any) (common.Values, bool) {
	version, err := common.ParseKubeVersion(b.job.KubeVersion)
	if err != nil {
		b.mistake("", 0, "version of Kubernetes: %v", err)
		return nil, false
	}
	if want := b.chart.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, version.String()) {
		b.mistake(b.chartFile, 0, "kubeVersion: the chart wants Kubernetes %s, and this is %s", want, version.Version)
		return nil, false
	}
	if err := chartutil.ProcessDependencies(b.chart, values); err != nil {
		b.mistake("", 0, "%s", flat(err.Error()))
		return nil, false
	}
	b.templates = make(map[string]source)
	b.place(b.chart)
	given, err := commonutil.ToRenderValues(b.chart, values,
		common.ReleaseOptions{Name: b.job.Release, Namespace: b.job.Namespace, Revision: 1, IsInstall: true},
		&common.Capabilities{KubeVersion: *version, APIVersions: b.job.APIVersions, HelmVersion: common.DefaultCapabilities.HelmVersion})
	if err != nil {
		b.mistake("", 0, "%s", schemaMistake(err))
		return nil, false
	}
	return given, true
}

// place notes where the templates of a chart, and of those below it, were written.
func (b *build) place(c *chart.Chart) {
	for _, t := range c.Templates {
		b.templates[path.Join(c.ChartFullPath(), t.Name)] = source{b.origins[t], string(t.Data)}
	}
	for _, sub := range c.Dependencies() {
		b.place(sub)
	}
}

// twice renders with two clocks and two sources of chance. What does not come out the same is refused:
// a commit would mean something else each time that it is read.
func (b *build) twice(given common.Values) map[string]string {
	var runs [2]map[string]string
	for i := range runs {
		if runs[i] = b.once(given, chance(i)); len(b.mistakes) > 0 {
			return nil
		}
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(runs[0])) {
		text := runs[0][name]
		size += len(text)
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(runs[0], name)
			continue
		}
		if line := firstDifference(text, runs[1][name]); line > 0 && firstDifference(b.kept(name, text), b.kept(name, runs[1][name])) > 0 {
			b.mistake(b.templates[name].path, 0, "renders something else each time (line %d of what it renders): it uses the time or chance, "+
				"and a commit must always mean the same; give the value in values, or name a Secret that exists", line)
		}
	}
	if size > maxRendered {
		b.mistake("", 0, "the chart renders %d MiB, at most %d MiB are allowed", size>>20, maxRendered>>20)
	}
	return runs[0]
}

// once renders all templates, or reports those that cannot be.
func (b *build) once(given common.Values, functions template.FuncMap) map[string]string {
	for {
		texts, err := engine.Engine{CustomTemplateFuncs: functions}.Render(b.chart, given)
		if err == nil {
			return texts
		}
		if broken := b.explain(err); len(b.mistakes) >= maxBroken || !b.without(b.chart, broken) {
			return nil
		}
	}
}

// kept is what a template rendered without hooks that are left out: tests often have random names.
func (b *build) kept(name, text string) string {
	var all strings.Builder
	for _, o := range b.documentsOf(name, text) {
		if o.phase() != never {
			all.WriteString(o.text)
		}
	}
	return all.String()
}

// firstDifference is the first line, from 1, in which two texts differ; 0 if they are the same.
func firstDifference(a, b string) int {
	if a == b {
		return 0
	}
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return i + 1
		}
	}
	return min(len(as), len(bs)) + 1
}

// finish puts hooks in order, gathers definitions and describes the release.
func (b *build) finish(objects []object, texts map[string]string, values map[string]any) {
	if !b.job.SkipCRDs {
		b.definitions()
	}
	b.describe(texts, values)
	for _, o := range b.ordered(objects) {
		b.documents = append(b.documents, wire.Document{Text: o.text, Path: o.path, Line: o.line, Namespace: b.job.Namespace})
	}
}

// definitions are the objects in crds/ of the chart and of those below it, which are no templates.
func (b *build) definitions() {
	for _, crd := range b.chart.CRDObjects() {
		for _, part := range split(string(crd.File.Data)) {
			b.documents = append(b.documents, wire.Document{Text: part.text, Path: b.origins[crd.File], Line: part.line, Namespace: b.job.Namespace})
		}
	}
}

// part is one document of a file.
type part struct {
	text string
	line int // on which its content begins
}

// split takes a file of YAML apart, leaving out what is empty.
func split(text string) []part {
	var parts []part
	var lines []string
	begin := 0
	end := func() {
		if begin > 0 {
			parts = append(parts, part{strings.Join(lines, "\n"), begin})
		}
		lines, begin = nil, 0
	}
	for i, line := range strings.Split(text, "\n") {
		if line == "---" || strings.HasPrefix(line, "--- ") {
			end()
			continue
		}
		if content := strings.TrimSpace(line); begin == 0 && content != "" && content[0] != '#' {
			begin = i + 1
		}
		lines = append(lines, line)
	}
	end()
	return parts
}
