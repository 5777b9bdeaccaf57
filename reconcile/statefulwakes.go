package reconcile

import (
	"strings"

	"writ/manifest"
	"writ/state"
)

// statefulWakes yields the StatefulSet that a Pod or a claim is named after, whoever owns it: what is gone makes room
// for a new one of its name.
func statefulWakes(w *state.World, c *state.Change, yield func(Key)) {
	rest, number, found := cutLast(c.Ref.Name)
	if !found || strings.Trim(number, "0123456789") != "" {
		return
	}
	switch {
	case c.Ref.Kind == "Pod":
		wakeStateful(w, c.Ref.Namespace, rest, yield)
	case decided(c): // the name of its template may have dashes, and so may the set's
		for i := range rest {
			if rest[i] == '-' {
				wakeStateful(w, c.Ref.Namespace, rest[i+1:], yield)
			}
		}
	}
}

func wakeStateful(w *state.World, namespace, name string, yield func(Key)) {
	if ref := manifest.StatefulSetRef(namespace, name); w.Get(ref) != nil {
		keysFor(ref, yield)
	}
}

// cutLast cuts a name at its last dash.
func cutLast(name string) (rest, last string, found bool) {
	at := strings.LastIndexByte(name, '-')
	if at < 0 {
		return name, "", false
	}
	return name[:at], name[at+1:], true
}
