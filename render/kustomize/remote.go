package kustomize

import (
	"crypto/rand"
	"path"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"writ/render/tree"
	"writ/render/wire"
)

// view is the folder that kustomize sees as the root of the repository. Remote bases lie beside it, and
// nothing that is written in them can name it: a path that leads out of a base leads nowhere.
type view string

// newView makes one that nobody knows.
func newView() view { return view("/" + rand.Text()) }

// of is a path of the repository or of a base as kustomize sees it.
func (v view) of(name string) string {
	if wire.BaseRoot(name) != "" {
		return name
	}
	return path.Join(string(v), name)
}

// below is a path of kustomize as one of the repository or of a base; ok is false if it is neither.
func (v view) below(name string) (below string, ok bool) {
	name = path.Clean("/" + name)
	if name == string(v) {
		return ".", true
	}
	if rest, found := strings.CutPrefix(name, string(v)+"/"); found {
		return rest, true
	}
	return name, wire.BaseRoot(name) != ""
}

// tell makes a result speak to people: of paths as they are written, not as kustomize sees them.
func (v view) tell(r *wire.Result) {
	for i := range r.Documents {
		r.Documents[i].Path = strings.TrimPrefix(r.Documents[i].Path, "/")
	}
	for i, m := range r.Mistakes {
		what := strings.ReplaceAll(strings.ReplaceAll(m.What, string(v)+"/", "/"), string(v), "/")
		r.Mistakes[i] = wire.Note{Path: strings.TrimPrefix(m.Path, "/"), Line: m.Line, What: what}
	}
}

// withBases are the fields that may name remote bases.
var withBases = map[string]bool{"resources": true, "bases": true, "components": true}

// remote is a base that a kustomization names.
type remote struct {
	name string // as it is written
	at   string // its folder
}

// screenRemote has a base fetched.
func (b *build) screenRemote(kustomization, field string, node *yaml.Node) {
	if !withBases[field] {
		b.mistake(kustomization, node.Line, "%s lies outside of the repository; only resources and components may name a remote base", node.Value)
		return
	}
	at, err := b.files.Base(node.Value)
	if err != nil {
		b.mistake(kustomization, node.Line, "%s: %v", node.Value, err)
		return
	}
	b.remotes[kustomization] = append(b.remotes[kustomization], remote{node.Value, at})
	b.written[b.relative(kustomization, at)] = node.Value
}

// relative is how kustomize gets from a kustomization to a base.
func (b *build) relative(kustomization, at string) string {
	depth := strings.Count(b.view.of(path.Dir(kustomization)), "/")
	return strings.Repeat("../", depth) + at[1:]
}

// withFolders is a kustomization that names the folders of its remote bases instead of their addresses.
func (b *build) withFolders(kustomization string, data []byte) []byte {
	remotes := b.remotes[kustomization]
	var root yaml.Node
	if len(remotes) == 0 || yaml.Unmarshal(data, &root) != nil || len(root.Content) == 0 {
		return data
	}
	for field := range withBases {
		value := tree.Field(root.Content[0], field)
		if value == nil {
			continue
		}
		for _, item := range value.Content {
			for _, r := range remotes {
				if item.Kind == yaml.ScalarNode && item.Value == r.name {
					item.SetString(b.relative(kustomization, r.at))
					break
				}
			}
		}
	}
	out, err := yaml.Marshal(&root)
	if err != nil {
		return data
	}
	return out
}
