package kustomize

import (
	"bytes"
	"errors"
	"io"
	"path"
	"regexp"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"writ/render/tree"
	"writ/render/wire"
)

var (
	recursed   = regexp.MustCompile(`recursed accumulation of path '([^']+)'`)
	resourceOf = regexp.MustCompile(`accumulating (?:resources|components|configurations) from '([^']+)'`)
	circle     = regexp.MustCompile(`cycle detected: candidate root '[^']+' contains visited root '([^']+)'`)
	prefixes   = regexp.MustCompile(`^(?:accumulating (?:resources|components)(?: from '[^']*')?|accumulation err='.*?'|recursed (?:accumulation of|merging from) path '[^']*'|loader\.New|accumulateDirectory): "?`)
)

// explain turns kustomize's error, which tells its whole way down, into what is wrong and where. A
// resource that is no YAML is a mistake of that file, and all such files are told at once.
func (b *build) explain(err error) []wire.Note {
	if broken := b.broken(); len(broken) > 0 {
		return broken
	}
	text := err.Error()
	folder := b.folder
	if all := recursed.FindAllStringSubmatch(text, -1); len(all) > 0 {
		if below, ok := b.view.below(all[len(all)-1][1]); ok {
			folder = below
		}
	}
	note := wire.Note{Path: b.file(folder)}
	if all := resourceOf.FindAllStringSubmatch(text, -1); len(all) > 0 {
		value := all[len(all)-1][1]
		if written, remote := b.written[value]; remote {
			value = written
		}
		note.Line = b.lineOfValue(note.Path, value)
		if name, ok := inside(folder, value); ok && !isRemote(value) && !b.exists(name) {
			note.What = value + " does not exist"
			return []wire.Note{note}
		}
	}
	if m := circle.FindStringSubmatch(text); m != nil {
		at, _ := b.view.below(m[1])
		note.What = "cycle detected: this leads back to " + strings.TrimPrefix(at, "/") + ", which is being built"
		return []wire.Note{note}
	}
	for before := ""; before != text; {
		before, text = text, prefixes.ReplaceAllString(text, "")
	}
	note.What = strings.TrimSpace(text)
	return []wire.Note{note}
}

func (b *build) exists(name string) bool {
	kind, _, err := b.files.Kind(name)
	return err == nil && kind != wire.Absent
}

// broken is every file that was read and is no YAML.
func (b *build) broken() []wire.Note {
	var notes []wire.Note
	for _, used := range b.files.Used() {
		extension := path.Ext(used.Path)
		if used.Op != wire.Read || extension != ".yaml" && extension != ".yml" && !isKustomization(path.Base(used.Path)) {
			continue
		}
		data, err := b.files.Read(used.Path)
		if err != nil {
			continue
		}
		if err := syntax(data); err != nil {
			line, what := tree.Problem(err.Error())
			notes = append(notes, wire.Note{Path: used.Path, Line: line, What: strings.TrimPrefix(what, "yaml: ")})
		}
	}
	return notes
}

// syntax is the first error of a file's YAML.
func syntax(data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		switch err := decoder.Decode(&node); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// lineOfValue finds a string in a kustomization.
func (b *build) lineOfValue(file, value string) int {
	data, err := b.files.Read(file)
	var root yaml.Node
	if err != nil || yaml.Unmarshal(data, &root) != nil {
		return 0
	}
	var find func(*yaml.Node) int
	find = func(n *yaml.Node) int {
		if n.Kind == yaml.ScalarNode && n.Value == value {
			return n.Line
		}
		for _, c := range n.Content {
			if line := find(c); line > 0 {
				return line
			}
		}
		return 0
	}
	return find(&root)
}
