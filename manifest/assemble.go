package manifest

import (
	"cmp"
	"maps"
	"slices"
)

// assemble makes the Set of a tree out of the previous one and what differs, and checks what only the
// whole can show. It reports to the loader; the Set is of no use if anything was reported.
func (l *loader) assemble(settings Cluster, root *folder, units []*unit) *Set {
	taken := takenByUnits(root, units)
	known := l.prev != nil && l.prev.root != nil && maps.Equal(taken, l.prev.taken)
	l.flawed(root, units, taken, known)
	d := difference{taken: taken}
	var base []*parsed
	var scopes scopes
	if known {
		d.folders(l.prev.root, root)
		d.units(l.prev.units, units)
		base, scopes = l.prev.objects, l.prev.scopes
	}
	if !known || d.touchesDefinitions() {
		d = difference{taken: taken}
		d.folders(nil, root)
		d.units(nil, units)
		base, scopes = nil, l.definitions(d.added)
	}
	added := l.resolve(d.added, scopes)
	removed := make(map[*parsed]bool, len(d.removed))
	for _, p := range d.removed {
		removed[p] = true
		if p.local != nil {
			removed[p.local] = true
		}
	}
	slices.SortFunc(added, compareParsed)
	s := &Set{objects: merge(base, removed, added), settings: settings, root: root, units: units, keys: l.keysID(), taken: taken, scopes: scopes}
	l.duplicates(s.objects)
	l.namespaces(s.objects)
	l.selectors(s.objects, added)
	l.whole(s.objects, settings.Spec)
	l.privileges(s.objects, units, settings.Spec.Signers)
	l.metrics(settings.Spec.Metrics, s.objects)
	l.mistakes = append(l.mistakes, l.settle(l.found, spots{})...)
	s.spots = spots{}
	s.warnings = append(l.unitWarnings(root.collect(nil, taken), root, units), l.settle(l.hints, s.spots)...)
	s.warnings.Sort()
	s.digest = digestOf(settings, s.objects)
	return s
}

// compareParsed orders by identity and, for those declared twice, by place.
func compareParsed(a, b *parsed) int {
	if c := a.Ref.Compare(b.Ref); c != 0 {
		return c
	}
	return a.Source.compare(b.Source)
}

// merge is base without the removed, with the added, all in order of Ref.
func merge(base []*parsed, removed map[*parsed]bool, added []*parsed) []*parsed {
	merged := make([]*parsed, 0, len(base)+len(added))
	for _, p := range base {
		if len(removed) > 0 && removed[p] {
			continue
		}
		for len(added) > 0 && compareParsed(added[0], p) < 0 {
			merged, added = append(merged, added[0]), added[1:]
		}
		merged = append(merged, p)
	}
	return append(merged, added...)
}

// difference is the objects that are in one tree and not in the other.
type difference struct {
	removed, added []*parsed
	taken          map[string]bool // files that units read and that are no manifests of their own
}

func (d *difference) folders(old, now *folder) {
	if old == now {
		return
	}
	if old == nil {
		old = &folder{}
	}
	if now == nil {
		now = &folder{}
	}
	pairs(old.files, now.files, func(f *file) string { return f.path }, d.files)
	pairs(old.folders, now.folders, func(f *folder) string { return f.name }, d.folders)
}

func (d *difference) files(old, now *file) {
	if old == now || d.taken[cmp.Or(old, now).path] {
		return
	}
	if old != nil {
		d.removed = append(d.removed, old.objects...)
	}
	if now != nil {
		d.added = append(d.added, now.objects...)
	}
}

// touchesDefinitions tells whether what custom resources are may have changed.
func (d *difference) touchesDefinitions() bool {
	isDefinition := func(p *parsed) bool { return p.Ref.GroupKind() == definitionKind }
	return slices.ContainsFunc(d.removed, isDefinition) || slices.ContainsFunc(d.added, isDefinition)
}

// pairs calls f with the elements of two lists that have the same key, and with nil for those that
// only one has. Both lists are ordered by key, as fs.ReadDir has them.
func pairs[T any](old, now []*T, key func(*T) string, f func(old, now *T)) {
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && key(old[0]) < key(now[0]):
			f(old[0], nil)
			old = old[1:]
		case len(old) == 0 || key(now[0]) < key(old[0]):
			f(nil, now[0])
			now = now[1:]
		default:
			f(old[0], now[0])
			old, now = old[1:], now[1:]
		}
	}
}

// collect appends the warnings of a folder and of everything below it.
func (f *folder) collect(warnings Mistakes, taken map[string]bool) Mistakes {
	if !f.warned {
		return warnings
	}
	warnings = append(warnings, f.warnings...)
	for _, file := range f.files {
		if !taken[file.path] {
			warnings = append(warnings, file.warnings...)
		}
	}
	for _, sub := range f.folders {
		warnings = sub.collect(warnings, taken)
	}
	return warnings
}
