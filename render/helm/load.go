package helm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartloader "helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"

	"writ/render/wire"
)

// Bounds of a chart.
const (
	maxFiles  = 10_000
	maxBytes  = 100 << 20
	maxFolder = 64 // folders inside each other
	maxLinks  = 3  // links to folders inside each other
	maxDepth  = 10 // charts inside each other
)

// loader reads charts and keeps where everything in them was written.
type loader struct {
	files     *wire.Files
	origins   map[*common.File]string // templates and other files of charts
	chartFile string                  // Chart.yaml of the chart that was asked for
	mistakes  []wire.Note
	loop      string // a folder of a chart that is not reached in the end
	count     int
	bytes     int
}

func newLoader(files *wire.Files) *loader {
	return &loader{files: files, origins: make(map[*common.File]string)}
}

// mistake reports something about a place; without a path, about where the chart is asked for.
func (l *loader) mistake(name string, line int, format string, args ...any) {
	l.mistakes = append(l.mistakes, wire.Note{Path: name, Line: line, What: fmt.Sprintf(format, args...)})
}

// load reads the chart of a job, nil after a mistake.
func (l *loader) load(job wire.Chart) *chart.Chart {
	at, files := job.Folder, []*archive.BufferedFile(nil)
	if job.Archive != "" {
		at = path.Base(job.Archive)
		files = l.archive(job.Archive, at)
	} else {
		kind, _, err := l.files.Kind(at)
		switch {
		case err != nil:
			l.mistake("", 0, "%v", err)
		case kind != wire.Folder:
			l.mistake("", 0, "path: %s is no folder of this repository", at)
		default:
			files = l.folder(at)
		}
	}
	if len(l.mistakes) > 0 {
		return nil
	}
	l.chartFile = path.Join(at, "Chart.yaml")
	c := l.chart(files, at, job.Archive == "", 0)
	if c == nil || len(l.mistakes) > 0 {
		return nil
	}
	if c.Metadata.Type == "library" {
		l.mistake(l.chartFile, 0, "is a library: it has helpers for other charts, and nothing to install")
		return nil
	}
	return c
}

// archive reads a packed chart.
func (l *loader) archive(name, label string) []*archive.BufferedFile {
	data, err := l.files.Read(name)
	if err != nil {
		l.mistake(label, 0, "%v", err)
		return nil
	}
	return l.unpack(data, label)
}

func (l *loader) unpack(data []byte, label string) []*archive.BufferedFile {
	files, err := archive.LoadArchiveFiles(bytes.NewReader(data))
	if err != nil {
		l.mistake(label, 0, "cannot be unpacked as a chart: %v", err)
		return nil
	}
	for _, f := range files {
		l.count++
		l.bytes += len(f.Data)
	}
	if !l.bounded(label) {
		return nil
	}
	return files
}

// bounded holds against the bounds what was read so far.
func (l *loader) bounded(name string) bool {
	switch {
	case l.count > maxFiles:
		l.mistake(name, 0, "the chart has more than %d files; list in .helmignore what it does not need", maxFiles)
	case l.bytes > maxBytes:
		l.mistake(name, 0, "the chart is larger than %d MiB; list in .helmignore what it does not need", maxBytes>>20)
	default:
		return true
	}
	return false
}

// folder reads a chart's folder of the repository, without what .helmignore lists.
func (l *loader) folder(at string) []*archive.BufferedFile {
	rules := ignore.Empty()
	name := path.Join(at, ignore.HelmIgnore)
	switch data, err := l.files.Read(name); {
	case err == nil:
		made, err := ignore.Parse(bytes.NewReader(data))
		if err != nil {
			l.mistake(name, 0, "%v", err)
			return nil
		}
		rules = made
	case !errors.Is(err, fs.ErrNotExist):
		l.mistake(name, 0, "%v", err)
		return nil
	}
	rules.AddDefaults()
	var files []*archive.BufferedFile
	l.walk(at, "", rules, 0, &files)
	if l.loop != "" {
		l.mistake(l.loop, 0, "lies behind more than %d links; one of them may lead back into the chart", maxLinks)
	}
	return files
}

// walk reads what is below a folder of a chart, which lies behind some links.
func (l *loader) walk(at, below string, rules *ignore.Rules, links int, files *[]*archive.BufferedFile) {
	here := path.Join(at, below)
	switch {
	case links > maxLinks:
		l.loop = here
		return
	case strings.Count(below, "/") > maxFolder:
		l.mistake(here, 0, "lies more than %d folders deep in the chart", maxFolder)
		return
	}
	entries, err := l.files.List(here)
	if err != nil {
		l.mistake(here, 0, "%v", err)
		return
	}
	for _, e := range entries {
		name := path.Join(below, e.Name)
		if rules.Ignore(name, wire.Info{Base: e.Name, Folder: e.Folder}) {
			continue
		}
		if e.Folder {
			l.walk(at, name, rules, links, files)
		} else if data, folder := l.file(path.Join(at, name)); folder {
			l.walk(at, name, rules, links+1, files)
		} else if data != nil {
			*files = append(*files, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))})
		}
		if l.count > maxFiles || l.bytes > maxBytes || l.loop != "" {
			return
		}
	}
}

// file reads one file of a chart; folder says that it is a link to a folder instead. Neither means a
// mistake.
func (l *loader) file(name string) (data []byte, folder bool) {
	data, err := l.files.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		kind, _, err := l.files.Kind(name)
		if err == nil && kind == wire.Folder {
			return nil, true
		}
		l.mistake(name, 0, "is a symbolic link that leads nowhere in this repository; remove it, or list it in .helmignore")
		return nil, false
	}
	if err != nil {
		l.mistake(name, 0, "%s", strings.TrimPrefix(err.Error(), name+": "))
		return nil, false
	}
	l.count++
	l.bytes += len(data)
	if !l.bounded(name) {
		return nil, false
	}
	if data == nil {
		data = []byte{}
	}
	return data, false
}

// chart makes a chart of its files, with those that lie in its charts folder. at is where it is, to
// people; inRepository says that it is a folder of the repository, not packed.
func (l *loader) chart(files []*archive.BufferedFile, at string, inRepository bool, depth int) *chart.Chart {
	if depth > maxDepth {
		l.mistake(at, 0, "lies in more than %d charts that depend on each other", maxDepth)
		return nil
	}
	var own []*archive.BufferedFile
	packed := make(map[string][]*archive.BufferedFile) // by their name in charts/
	for _, f := range files {
		below, found := strings.CutPrefix(f.Name, "charts/")
		if !found || path.Ext(f.Name) == ".prov" {
			own = append(own, f)
			continue
		}
		name, rest, _ := strings.Cut(below, "/")
		packed[name] = append(packed[name], &archive.BufferedFile{Name: rest, Data: f.Data})
	}
	c, err := chartloader.LoadFiles(own)
	if err != nil {
		l.broken(at, err)
		return nil
	}
	for _, files := range [][]*common.File{c.Templates, c.Files} {
		for _, f := range files {
			l.origins[f] = path.Join(at, f.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(packed)) {
		if sub := l.packed(name, packed[name], path.Join(at, "charts", name), inRepository, depth); sub != nil {
			c.AddDependency(sub)
		}
	}
	l.dependencies(c, at, inRepository, depth)
	return c
}

// packed makes a chart of what is in a chart's charts folder under one name, nil if that is none.
func (l *loader) packed(name string, files []*archive.BufferedFile, at string, inRepository bool, depth int) *chart.Chart {
	if name[0] == '_' || name[0] == '.' {
		return nil
	}
	if files[0].Name != "" {
		return l.chart(files, at, inRepository, depth+1)
	}
	if path.Ext(name) != ".tgz" {
		return nil // a file beside the charts
	}
	unpacked := l.unpack(files[0].Data, at)
	if unpacked == nil {
		return nil
	}
	return l.chart(unpacked, at, false, depth+1)
}

// broken reports why files are no chart.
func (l *loader) broken(at string, err error) {
	text := err.Error()
	for _, name := range []string{"Chart.yaml", "Chart.lock", "values.yaml", "requirements.yaml", "requirements.lock"} {
		if rest, found := strings.CutPrefix(text, "cannot load "+name+": "); found {
			l.mistakeInYAML(path.Join(at, name), rest)
			return
		}
	}
	name := path.Join(at, "Chart.yaml")
	if strings.HasPrefix(text, "Chart.yaml file is missing") {
		l.mistake(name, 0, "does not exist, so this is no chart")
		return
	}
	l.mistake(name, 0, "%s", flat(text))
}
