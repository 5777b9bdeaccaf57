package kustomize

import (
	"path"
	"strings"

	yaml "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"

	"writ/render/tree"
	"writ/render/wire"
)

// place is where a resource is written in the repository, or the generator that makes it.
type place struct {
	document
	file string
}

// places are all that the kustomizations of one build name.
type places struct {
	byKind map[string][]*place
	// vague says that resources may come from where it was not looked.
	vague bool
}

// gather notes what a field of a kustomization brings in.
func (b *build) gather(kustomization, field string, value *yaml.Node) {
	switch field {
	case "resources":
		for _, item := range value.Content {
			if isRemote(item.Value) {
				continue
			}
			name := path.Join(path.Dir(kustomization), item.Value)
			if kind, _, err := b.files.Kind(name); err == nil && kind == wire.File {
				for _, d := range b.documentsOf(name) {
					b.places.add(place{document: d, file: name})
				}
			}
		}
	case "configMapGenerator", "secretGenerator":
		kind := map[string]string{"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}[field]
		for _, item := range value.Content {
			if name := tree.Field(item, "name"); name != nil {
				b.places.add(place{document: document{name.Line, kind, name.Value}, file: kustomization})
			}
		}
	case "generators", "transformers":
		b.places.vague = true
	}
}

func (p *places) add(one place) { p.byKind[one.kind] = append(p.byKind[one.kind], &one) }

// find tells where each resource was written, by kind and name: a name may have got a prefix and a suffix
// since. ok is false unless each has one place of its own; only kustomize itself knows then.
func (p *places) find(resources []*resource.Resource) (found []*place, ok bool) {
	taken := make(map[*place]bool)
	for _, r := range resources {
		one := p.of(r.GetKind(), r.GetName())
		if p.vague || one == nil || taken[one] {
			return nil, false
		}
		taken[one] = true
		found = append(found, one)
	}
	return found, true
}

// of is the place of a resource, nil if several may be it or none.
func (p *places) of(kind, name string) *place {
	if best, tie := longest(p.byKind[kind], kind, name); !tie {
		return best
	}
	return nil
}

// longest is the first place of a kind with the longest name that is part of the given one. tie says that
// there are others like it.
func longest(all []*place, kind, name string) (best *place, tie bool) {
	for _, one := range all {
		switch {
		case one.kind != kind || one.name == "" || !strings.Contains(name, one.name):
		case best == nil || len(one.name) > len(best.name):
			best, tie = one, false
		case len(one.name) == len(best.name):
			tie = true
		}
	}
	return best, tie
}

// lineIn is the line of a resource in the file that kustomize says it is from.
func (b *build) lineIn(file, kind, name string) int {
	var all []*place
	for _, places := range b.places.byKind {
		for _, one := range places {
			if one.file == file {
				all = append(all, one)
			}
		}
	}
	if all == nil {
		for _, d := range b.documentsOf(file) {
			all = append(all, &place{document: d, file: file})
		}
	}
	best, _ := longest(all, kind, name)
	switch {
	case best != nil:
		return best.line
	case len(all) == 1:
		return all[0].line
	}
	return 0
}
