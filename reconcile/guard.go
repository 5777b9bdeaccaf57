package reconcile

import (
	"fmt"
	"strings"

	"writ/manifest"
)

// Held is why a commit without mistakes is not adopted: it would delete what was perhaps not meant.
type Held struct {
	Reason string
	// Deletes is what it would delete and does not say.
	Deletes []manifest.Ref
	// Add is the line by which the message of a commit says so.
	Add string
}

func (h Held) Error() string { return h.Reason }

// guard keeps a commit from deleting by accident: everything, from a rewritten branch anything, what
// holds data or other objects, or more than the guards of the adopted commit let pass.
func (d *draft) guard(c Commit, f *difference) error {
	adopted, limits := d.base.Adopted(), d.set.Settings().Spec.Guards.MaxDeletes
	if adopted.Commit != "" {
		if m := fixed(adopted.Settings.Spec, d.set.Settings().Spec); len(m) > 0 {
			return m
		}
		limits = adopted.Settings.Spec.Guards.MaxDeletes
	}
	allowed := allowance(c.Trailers)
	goes := f.goes()
	rest := allowed.rest(goes)
	if len(rest) == 0 {
		return nil
	}
	if d.set.Len() == 0 {
		return held(rest, AllowDelete+": all", fmt.Sprintf("commit %.7s declares no object at all, and %d are running. "+
			"To take a node down, use `writ down`; if the manifests are elsewhere, correct --path", c.Hash, f.held))
	}
	if allowed.count >= len(rest) {
		return nil
	}
	why := ""
	switch precious := kept(rest); {
	case c.Rewritten:
		why = fmt.Sprintf("the branch was rewritten: commit %.7s does not follow the adopted %.7s, and deletes %s", c.Hash, adopted.Commit, listed(rest))
	case len(precious) > 0 && len(precious) < len(rest):
		why = fmt.Sprintf("commit %.7s deletes %s, and with that %d objects", c.Hash, listed(precious), len(rest))
	case len(precious) > 0:
		why = fmt.Sprintf("commit %.7s deletes %s", c.Hash, listed(precious))
	case limits.Exceeded(len(rest), f.held):
		why = fmt.Sprintf("commit %.7s deletes %d of %d objects, more than spec.guards.maxDeletes lets pass (%s): %s", c.Hash, len(rest), f.held, limits, listed(rest))
	default:
		return nil
	}
	if allowed.count > 0 {
		why += fmt.Sprintf(" (it allows %d)", allowed.count)
	}
	add := fmt.Sprintf("%s: %d", AllowDelete, len(goes)) // all of it, also what other trailers name already
	if len(goes) == 1 {
		add = AllowDelete + ": " + goes[0].String()
	}
	return held(rest, add, why)
}

func held(rest []manifest.Ref, add, why string) Held {
	return Held{Deletes: rest, Add: add, Reason: fmt.Sprintf("%s. Nothing of the commit is adopted. If it is meant, add this trailer to the message of the newest commit: %s", why, add)}
}

// kept are the objects of kinds that no commit deletes without saying so: they hold data or other objects.
func kept(refs []manifest.Ref) (precious []manifest.Ref) {
	for _, ref := range refs {
		switch ref.GroupKind().String() {
		case "Namespace", "PersistentVolumeClaim", "PersistentVolume", "CustomResourceDefinition.apiextensions.k8s.io":
			precious = append(precious, ref)
		}
	}
	return precious
}

// goes is every authored object that the commit deletes, also to make it again.
func (f *difference) goes() []manifest.Ref {
	var refs []manifest.Ref
	for _, r := range f.prune {
		if builtin(r.Ref) == nil { // else it stays, as it is where nobody writes it
			refs = append(refs, r.Ref)
		}
	}
	return append(refs, f.replaced...)
}

func listed(refs []manifest.Ref) string {
	const most = 5
	var names []string
	for _, ref := range refs[:min(most, len(refs))] {
		names = append(names, ref.String())
	}
	text := strings.Join(names, ", ")
	if n := len(refs) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// fixed gives the settings that must not change any more and do.
func fixed(before, now manifest.ClusterSpec) manifest.Mistakes {
	var m manifest.Mistakes
	check := func(field, was, is string) {
		if was != is {
			m = append(m, manifest.Mistake{
				Source: manifest.Source{Path: "writ.yaml"},
				What:   fmt.Sprintf("spec.%s is fixed after the first adoption: it is %s and cannot become %s", field, was, is),
			})
		}
	}
	check("podCIDR", before.PodCIDR, now.PodCIDR)
	check("serviceCIDR", before.ServiceCIDR, now.ServiceCIDR)
	check("clusterDomain", before.ClusterDomain, now.ClusterDomain)
	return m
}
