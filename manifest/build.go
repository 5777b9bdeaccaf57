package manifest

import (
	"io/fs"
	"path"
	"slices"

	yaml "go.yaml.in/yaml/v3"
)

// build is what a folder is built with instead of being read.
type build struct {
	chart     bool     // a Helm chart; else a kustomization
	file      string   // that says so
	component bool     // a kustomization that only others use
	uses      []string // folders and files that a kustomization names, from the repository's root
}

// kustomizationFiles are the names in the order in which kustomize looks for them.
var kustomizationFiles = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

const chartFile = "Chart.yaml"

// built finds out what a folder is built with, nil for one of plain manifests.
func (l *loader) built(name string, entries []fs.DirEntry) (*build, error) {
	has := func(file string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == file })
	}
	if has(chartFile) {
		return &build{chart: true, file: path.Join(name, chartFile)}, nil
	}
	if slices.Contains(l.chartFolders, name) {
		return &build{chart: true, file: path.Join(name, chartFile)}, nil
	}
	for _, file := range kustomizationFiles {
		if has(file) {
			return l.kustomization(name, path.Join(name, file))
		}
	}
	return nil, nil
}

// kustomization reads which other folders a kustomization uses; what is wrong with it is told when it
// is built.
func (l *loader) kustomization(folder, file string) (*build, error) {
	b := &build{file: file}
	data, err := l.readFile(file)
	if err != nil || data == nil || len(data) > maxDocumentBytes {
		return b, err
	}
	var root yaml.Node
	if yaml.Unmarshal(data, &root) != nil || len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return b, nil
	}
	fields := root.Content[0].Content
	for i := 0; i+1 < len(fields); i += 2 {
		switch fields[i].Value {
		case "kind":
			b.component = fields[i+1].Value == "Component"
		case "resources", "bases", "components", "generators", "transformers", "validators":
			for _, item := range fields[i+1].Content {
				if item.Kind == yaml.ScalarNode {
					b.uses = append(b.uses, path.Join(folder, item.Value))
				}
			}
		}
	}
	return b, nil
}

// chartFolders are the folders of the repository that spec.charts names, sorted.
func chartFolders(folder string, settings Cluster) []string {
	var all []string
	for _, c := range settings.Spec.Charts {
		if c.Path != "" {
			all = append(all, path.Join(folder, c.Path))
		}
	}
	slices.Sort(all)
	return all
}

// kustomizations calls f with every folder at and below this one that has a kustomization.
func (fo *folder) kustomizations(f func(*folder)) {
	if !fo.builds {
		return
	}
	if fo.build != nil && !fo.build.chart {
		f(fo)
	}
	for _, sub := range fo.folders {
		sub.kustomizations(f)
	}
}

// charts calls f with every folder at and below this one that holds a chart.
func (fo *folder) charts(f func(*folder)) {
	if !fo.builds {
		return
	}
	if fo.build != nil && fo.build.chart {
		f(fo)
	}
	for _, sub := range fo.folders {
		sub.charts(f)
	}
}
