package kustomize

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"writ/render/wire"
)

// originAnnotation is where kustomize says which file a resource came from.
const originAnnotation = "config.kubernetes.io/origin"

// names are what a kustomization file may be called, in the order in which kustomize looks.
var names = konfig.RecognizedKustomizationFileNames()

func isKustomization(name string) bool { return slices.Contains(names, name) }

// Kustomizer builds kustomizations of one tree. It keeps what it has read of it.
type Kustomizer struct {
	files     *wire.Files
	documents map[string][]document // of the files that resources came from
	view      view
}

// New makes a Kustomizer for a tree.
func New(files *wire.Files) *Kustomizer {
	return &Kustomizer{files: files, documents: make(map[string][]document), view: newView()}
}

// Build builds the kustomization in a folder of the repository. What is wrong is in the result.
//
// Kustomize's own notes about origins cost it a third of its time. They are asked for only where kind and name
// do not tell in which file a resource was written.
func (k *Kustomizer) Build(folder string) wire.Result {
	b := build{
		Kustomizer: k, folder: folder, screened: make(map[string]bool), places: places{byKind: make(map[string][]*place)},
		remotes: make(map[string][]remote), written: make(map[string]string),
	}
	r := b.build()
	k.view.tell(&r)
	return r
}

func (b *build) build() wire.Result {
	resources, err := b.run(false)
	if len(b.mistakes) > 0 {
		return wire.Result{Mistakes: b.mistakes}
	}
	if err != nil {
		return wire.Result{Mistakes: b.explain(err)}
	}
	if !b.keep {
		if found, ok := b.places.find(resources.Resources()); ok {
			return b.result(resources, func(i int) wire.Note { return wire.Note{Path: found[i].file, Line: found[i].line} })
		}
		if resources, err = b.run(true); err != nil {
			return wire.Result{Mistakes: b.explain(err)}
		}
	}
	return b.result(resources, func(i int) wire.Note { return b.origin(resources.Resources()[i]) })
}

// build is one kustomization that is being built.
type build struct {
	*Kustomizer
	folder   string
	screened map[string]bool
	mistakes []wire.Note
	places   places
	remotes  map[string][]remote // by the kustomization that names them
	written  map[string]string   // names of remote bases, by what kustomize reads instead
	keep     bool                // the kustomization asks for origin annotations itself
}

// run lets kustomize build, with a note at each resource about its origin if that is wanted.
func (b *build) run(origins bool) (resmap.ResMap, error) {
	system := &fileSystem{files: b.files, view: b.view, root: b.folder, trace: b.screen, rewrite: b.withFolders, origins: origins}
	options := krusty.MakeDefaultOptions()
	// The repository is the border, not each folder: overlays patch with files from beside them.
	options.LoadRestrictions = types.LoadRestrictionsNone
	return krusty.MakeKustomizer(options).Run(system, b.view.of(b.folder))
}

// result is the resources as documents; where tells for each of them.
func (b *build) result(resources resmap.ResMap, where func(int) wire.Note) wire.Result {
	var r wire.Result
	for i, res := range resources.Resources() {
		at := where(i)
		text, err := b.text(res)
		if err != nil {
			r.Mistakes = append(r.Mistakes, wire.Note{Path: at.Path, Line: at.Line, What: err.Error()})
			continue
		}
		r.Documents = append(r.Documents, wire.Document{Text: text, Path: at.Path, Line: at.Line})
	}
	return r
}

// text is a resource without what was added to know where it came from.
func (b *build) text(res *resource.Resource) (string, error) {
	annotations := res.GetAnnotations()
	if _, there := annotations[originAnnotation]; there && !b.keep {
		delete(annotations, originAnnotation)
		if err := res.SetAnnotations(annotations); err != nil {
			return "", fmt.Errorf("remove %s: %w", originAnnotation, err)
		}
	}
	text, err := res.MarshalJSON() // which is YAML too
	return string(text), err
}

// origin is where a resource was written: the line of its document, or of the generator that made it.
func (b *build) origin(res *resource.Resource) wire.Note {
	origin, err := res.GetOrigin()
	if err != nil || origin == nil || origin.Repo != "" {
		return wire.Note{Path: b.file(b.folder)}
	}
	written := origin.Path
	if written == "" {
		written = origin.ConfiguredIn
	}
	name, ok := b.view.below(path.Join(b.view.of(b.folder), written))
	if !ok {
		return wire.Note{Path: b.file(b.folder)}
	}
	return wire.Note{Path: name, Line: b.lineIn(name, res.GetKind(), res.GetName())}
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

// inside tells whether a relative path stays in the repository, or in the remote base, and where it leads.
func inside(folder, name string) (string, bool) {
	joined := path.Join(folder, name)
	if root := wire.BaseRoot(folder); root != "" {
		return joined, !path.IsAbs(name) && (joined == root || strings.HasPrefix(joined, root+"/"))
	}
	return joined, !path.IsAbs(name) && joined != ".." && !strings.HasPrefix(joined, "../")
}
