package kustomize

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"writ/render/wire"
)

// originAnnotation is where kustomize says which file a resource came from.
const originAnnotation = "config.kubernetes.io/origin"

// names are what a kustomization file may be called, in the order in which kustomize looks.
var names = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

func isKustomization(name string) bool { return slices.Contains(names, name) }

// Build builds the kustomization in a folder of the repository. What is wrong is in the result.
func Build(files *wire.Files, folder string) wire.Result {
	b := build{files: files, folder: folder, screened: make(map[string]bool), documents: make(map[string][]document)}
	system := &fileSystem{files: files, root: folder, trace: b.screen}
	options := krusty.MakeDefaultOptions()
	// The repository is the border, not each folder: overlays patch with files from beside them.
	options.LoadRestrictions = types.LoadRestrictionsNone
	resources, err := krusty.MakeKustomizer(options).Run(system, "/"+folder)
	if len(b.mistakes) > 0 {
		return wire.Result{Mistakes: b.mistakes}
	}
	if err != nil {
		return wire.Result{Mistakes: b.explain(err)}
	}
	return b.result(resources)
}

// build is one kustomization that is being built.
type build struct {
	files     *wire.Files
	folder    string
	screened  map[string]bool
	mistakes  []wire.Note
	documents map[string][]document // of the files that resources came from
	keep      bool                  // the kustomization asks for origin annotations itself
}

func (b *build) result(resources resmap.ResMap) wire.Result {
	var r wire.Result
	for _, res := range resources.Resources() {
		where := b.origin(res)
		text, err := b.text(res)
		if err != nil {
			r.Mistakes = append(r.Mistakes, wire.Note{Path: where.Path, Line: where.Line, What: err.Error()})
			continue
		}
		r.Documents = append(r.Documents, wire.Document{Text: text, Path: where.Path, Line: where.Line})
	}
	return r
}

// text is a resource without what was added to know where it came from.
func (b *build) text(res *resource.Resource) (string, error) {
	if !b.keep {
		annotations := res.GetAnnotations()
		delete(annotations, originAnnotation)
		if err := res.SetAnnotations(annotations); err != nil {
			return "", fmt.Errorf("remove %s: %w", originAnnotation, err)
		}
	}
	text, err := res.AsYAML()
	return string(text), err
}

// origin is where a resource was written: the line of its document, or of the generator that made it.
func (b *build) origin(res *resource.Resource) wire.Note {
	origin, err := res.GetOrigin()
	if err != nil || origin == nil {
		return wire.Note{Path: b.file(b.folder)}
	}
	if origin.Repo != "" {
		return wire.Note{Path: b.file(b.folder)}
	}
	if origin.Path == "" {
		name := path.Join(b.folder, origin.ConfiguredIn)
		return wire.Note{Path: name, Line: b.lineOfName(name, res.GetName())}
	}
	name := path.Join(b.folder, origin.Path)
	return wire.Note{Path: name, Line: b.lineOfObject(name, res.GetKind(), res.GetName())}
}

// file is the kustomization file of a folder.
func (b *build) file(folder string) string {
	for _, name := range names {
		name = path.Join(folder, name)
		if kind, _, err := b.files.Kind(name); err == nil && kind == wire.File {
			return name
		}
	}
	return path.Join(folder, names[0])
}

// below tells whether a relative path stays in the repository, and where it leads.
func inside(folder, name string) (string, bool) {
	joined := path.Join(folder, name)
	return joined, !path.IsAbs(name) && joined != ".." && !strings.HasPrefix(joined, "../")
}
