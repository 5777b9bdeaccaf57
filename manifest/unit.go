package manifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// unit is something that is rendered. It is immutable and is taken over into the next commit as long
// as everything that was looked at is the same.
type unit struct {
	key     string // equal for the same question
	folder  string
	keys    string // that encrypted files were opened with, empty if none was read
	inputs  []Input
	file    *file // the objects, as if they were written in one file
	release *Release
}

// units renders what is not taken over from before.
func (l *loader) units(settings Cluster, root *folder) ([]*unit, error) {
	wanted := append(l.kustomizationUnits(root), l.chartUnits(settings)...)
	known := make(map[string]*unit)
	if l.prev != nil {
		for _, u := range l.prev.units {
			known[u.key] = u
		}
	}
	all := make([]*unit, len(wanted))
	var missing []Unit
	for i, w := range wanted {
		if u := known[w.key()]; u != nil && l.unchanged(u) {
			all[i] = u
			continue
		}
		missing = append(missing, w)
	}
	if err := l.render(missing, all, wanted); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(u *unit) bool { return u == nil })
	slices.SortFunc(all, func(a, b *unit) int { return strings.Compare(a.key, b.key) })
	for _, u := range all {
		if err := l.grow(u.folder, 0, len(u.file.objects), u.file.size); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (u Unit) key() string {
	if u.Chart == nil {
		return "kustomization " + u.Folder
	}
	spec, err := json.Marshal(u.Chart)
	if err != nil {
		panic("manifest: encode a chart's settings: " + err.Error()) // they were decoded from JSON
	}
	return fmt.Sprintf("chart %s/%s %s %s", u.Chart.Namespace, u.Chart.Name, u.Folder, spec)
}

// kustomizationUnits are the kustomizations that no other one uses, and one of each circle that nothing
// else leads to, whose rendering tells what is wrong with it.
func (l *loader) kustomizationUnits(root *folder) []Unit {
	used := circles(root)
	var all []Unit
	var last string // the root that was found last; what lies below it is its own
	root.kustomizations(func(at *folder) {
		if used[at.name] || at.build.component {
			return
		}
		if last != "" && (last == "." || strings.HasPrefix(at.name, last+"/")) {
			l.unused = append(l.unused, Mistake{Source: Source{Path: at.build.file},
				What: fmt.Sprintf("is not deployed: it lies below the kustomization %s, which does not name it", last)})
			return
		}
		last = at.name
		all = append(all, Unit{Folder: at.name, Source: Source{Path: at.build.file}})
	})
	return all
}

// circles are the kustomizations that others use, without one of each circle that is entered from nowhere.
func circles(root *folder) (used map[string]bool) {
	used = make(map[string]bool)
	uses := make(map[string][]string)
	root.kustomizations(func(at *folder) {
		uses[at.name] = at.build.uses
		for _, name := range at.build.uses {
			used[name] = true
		}
	})
	reached := make(map[string]bool)
	var reach func(name string)
	reach = func(name string) {
		for _, next := range uses[name] {
			if !reached[next] {
				reached[next] = true
				reach(next)
			}
		}
	}
	root.kustomizations(func(at *folder) {
		if !used[at.name] {
			reach(at.name)
		}
	})
	root.kustomizations(func(at *folder) {
		if reached[at.name] || !used[at.name] {
			return
		}
		if reach(at.name); reached[at.name] { // it comes back to itself
			used[at.name] = false
		}
	})
	return used
}

// chartUnits are the charts of writ.yaml.
func (l *loader) chartUnits(settings Cluster) []Unit {
	var all []Unit
	for i := range settings.Spec.Charts {
		c := &settings.Spec.Charts[i]
		u := Unit{Chart: c, Source: Source{Path: path.Join(l.Folder, settingsFile)}}
		if c.Path != "" {
			u.Folder = path.Join(l.Folder, c.Path)
		}
		u.Source.Line = l.settingsLine(fmt.Sprintf("spec.charts[%d].name", i))
		all = append(all, u)
	}
	return all
}

// settingsLine is the line of a field of writ.yaml.
func (l *loader) settingsLine(field string) int {
	if l.written == nil {
		l.written = &locator{}
		if chunks := l.chunks(path.Join(l.Folder, settingsFile)); len(chunks) > 0 {
			l.written.chunk = chunks[0]
		}
	}
	return l.written.line(field)
}

// unchanged tells whether a unit would be rendered just the same now.
func (l *loader) unchanged(u *unit) bool {
	if u.keys != "" && u.keys != l.keysID() {
		return false
	}
	for _, in := range u.inputs {
		if l.inputID(in) != in.ID {
			return false
		}
	}
	return true
}

// rekeyed tells whether the keys are other ones than those of the previous load.
func (l *loader) rekeyed() bool { return l.prev == nil || l.prev.keys != l.keysID() }

func (l *loader) keysID() string {
	if l.Decrypter == nil {
		return ""
	}
	return l.Decrypter.KeysID()
}

// inputID is asked once for each path: overlays share their bases.
func (l *loader) inputID(in Input) string {
	in.ID = ""
	id, asked := l.identities[in]
	if !asked {
		id = InputID(l.fsys, in.Path, in.List)
		l.identities[in] = id
	}
	return id
}

// identified is inputs with what is there now.
func (l *loader) identified(inputs []Input) []Input {
	all := make([]Input, len(inputs))
	for i, in := range inputs {
		all[i] = Input{Path: in.Path, List: in.List, ID: l.inputID(in)}
	}
	return all
}

// render fills the gaps of all, which stand for the missing ones of wanted, in order.
func (l *loader) render(missing []Unit, all []*unit, wanted []Unit) error {
	if len(missing) == 0 {
		return nil
	}
	if l.Renderer == nil {
		for _, u := range missing {
			l.unread = true
			l.mistake(u.Source.Path, u.Source.Line, "has to be rendered, which is not possible here")
		}
		return nil
	}
	renderings, err := l.Renderer.Render(l.fsys, missing)
	if err != nil {
		return err
	}
	if len(renderings) != len(missing) {
		return errors.New("render: some units are missing in the answer")
	}
	for i := range all {
		if all[i] == nil {
			all[i] = l.unit(wanted[i], renderings[0])
			renderings = renderings[1:]
		}
	}
	return nil
}

// unit takes up a rendering.
func (l *loader) unit(from Unit, r Rendering) *unit {
	name := from.Folder
	if name == "" {
		name = from.Source.Path
	}
	u := &unit{key: from.key(), folder: name, inputs: l.identified(r.Inputs)}
	u.file = &file{path: name, unread: len(r.Mistakes) > 0}
	var v *veil
	if r.Secrecy != nil {
		u.keys, v = cmp.Or(l.keysID(), "none"), newVeil(*r.Secrecy)
	}
	if r.Release != nil && v.misuse(SecretRef(r.Release.Namespace, r.Release.Name)) == "" {
		u.release = r.Release // which holds the values, and is kept as a Secret
	}
	u.file.mistakes, u.file.warnings = v.over(r.Mistakes), v.over(r.Warnings)
	if n := len(r.Documents); n > maxDocuments {
		u.file.mistakes = append(u.file.mistakes, Mistake{Source: from.Source, What: fmt.Sprintf("renders %d objects, at most %d are allowed", n, maxDocuments)})
		u.file.unread, r.Documents = true, nil
	}
	for _, d := range r.Documents {
		if len(u.file.mistakes) > maxMistakes {
			u.file.unread = true // and what follows is not read
			break
		}
		part := l.rendered(d, v)
		u.file.objects = append(u.file.objects, part.objects...)
		u.file.warnings = append(u.file.warnings, part.warnings...)
		u.file.mistakes = append(u.file.mistakes, part.mistakes...)
		u.file.broken = append(u.file.broken, part.broken...)
		u.file.unread = u.file.unread || part.unread
		u.file.size += part.size
	}
	return u
}

// rendered reads one rendered document. Only when there is something to tell about it is the file that
// it came from looked at, for the line of the field.
func (l *loader) rendered(d Rendered, v *veil) *file {
	part := readRendered(d, v, chunk{line: d.Source.Line})
	if len(part.mistakes)+len(part.warnings) == 0 || d.Source.Line == 0 {
		return part
	}
	for _, c := range slices.Backward(l.chunks(d.Source.Path)) {
		if c.line <= d.Source.Line {
			if !(&locator{chunk: c}).has("kind") {
				return part // a template; where the object begins is known
			}
			return readRendered(d, v, c)
		}
	}
	return part
}

func readRendered(d Rendered, v *veil, where chunk) *file {
	r := reader{file: &file{path: d.Source.Path, secret: v != nil}, veil: v, home: d.Namespace}
	if what := checkText(d.Text); what != "" {
		r.unreadable(d.Source.Line, what)
		return r.file
	}
	r.document(d.Text, where, func(int) int { return where.line })
	r.count()
	return r.file
}

// takenByUnits is the manifests of the tree that units read: they are not declared a second time.
func takenByUnits(root *folder, units []*unit) map[string]bool {
	taken := make(map[string]bool)
	if len(units) == 0 {
		return taken
	}
	plain := make(map[string]bool)
	root.plain(plain)
	for _, u := range units {
		for _, in := range u.inputs {
			if plain[in.Path] {
				taken[in.Path] = true
			}
		}
	}
	return taken
}

// plain notes the paths of every manifest that is read as it is.
func (fo *folder) plain(paths map[string]bool) {
	for _, f := range fo.files {
		paths[f.path] = true
	}
	for _, sub := range fo.folders {
		sub.plain(paths)
	}
}

// flawed reports what is wrong in the files and units of the tree. Files that were taken over and have
// flaws are those that units took before: they matter again when known is false.
func (l *loader) flawed(root *folder, units []*unit, taken map[string]bool, known bool) {
	read := l.read
	if !known {
		read = root.every(nil)
	}
	for _, f := range read {
		if !taken[f.path] {
			l.flaws(f)
		}
	}
	for _, u := range units {
		l.flaws(u.file)
	}
}

func (l *loader) flaws(f *file) {
	l.mistakes = append(l.mistakes, f.mistakes...)
	l.broken = append(l.broken, f.broken...)
	l.unread = l.unread || f.unread
}

// every appends all files at and below a folder.
func (fo *folder) every(files []*file) []*file {
	files = append(files, fo.files...)
	for _, sub := range fo.folders {
		files = sub.every(files)
	}
	return files
}

func (d *difference) units(old, now []*unit) {
	pairs(old, now, func(u *unit) string { return u.key }, func(old, now *unit) {
		var a, b *file
		if old != nil {
			a = old.file
		}
		if now != nil {
			b = now.file
		}
		d.files(a, b)
	})
}

// unitWarnings appends what units warn of, and charts that nobody asks for.
func (l *loader) unitWarnings(warnings Mistakes, root *folder, units []*unit) Mistakes {
	warnings = append(warnings, l.unused...)
	for _, u := range units {
		warnings = append(warnings, u.file.warnings...)
	}
	read := make(map[string]bool) // folders that something was read from
	for _, u := range units {
		for _, in := range u.inputs {
			if in.ID != "" {
				read[path.Dir(in.Path)] = true
			}
		}
	}
	root.charts(func(at *folder) {
		if !read[at.name] {
			warnings = append(warnings, Mistake{Source: Source{Path: at.build.file}, What: "is not deployed: " + settingsFile + " does not name this chart in spec.charts"})
		}
	})
	return warnings
}
