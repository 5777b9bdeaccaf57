package manifest

import (
	"fmt"
	"slices"
)

// duplicates reports every object that is declared more than once, among them those that have mistakes
// of their own and so are in no Set.
func (l *loader) duplicates(objects []*parsed) {
	first := 0
	for i := 1; i < len(objects); i++ {
		if objects[i].Ref != objects[first].Ref {
			first = i
			continue
		}
		l.about(objects[i], "", twice(objects[first].Source))
	}
	known := map[Ref]bool{}
	places := map[Ref][]declared{}
	for _, b := range l.broken {
		if b.ref.Name == "" {
			continue
		}
		if !known[b.ref] {
			known[b.ref] = true
			if p := lookUp(objects, b.ref); p != nil {
				places[b.ref] = append(places[b.ref], declared{b.ref, p.Source})
			}
		}
		places[b.ref] = append(places[b.ref], b)
	}
	for ref, all := range places {
		slices.SortFunc(all, func(a, b declared) int { return a.source.compare(b.source) })
		for _, other := range all[1:] {
			l.mistakes = append(l.mistakes, Mistake{other.source, ref, twice(all[0].source)})
		}
	}
}

func twice(first Source) string { return fmt.Sprintf("is declared twice, first in %s", first) }
