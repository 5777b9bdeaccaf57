package reconcile

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// PruneTrailer is the trailer of a commit message by which its author says that it deletes a lot on
// purpose, or that a rewritten branch may delete: "Writ-Prune: yes".
const PruneTrailer = "Writ-Prune"

// A commit that deletes more than PruneFreely objects, and of those that are declared more than
// PrunePercent, needs the trailer.
const (
	PruneFreely  = 10
	PrunePercent = 50
)

// Held is why a commit without mistakes is not adopted: it would delete what was perhaps not meant.
type Held struct{ Reason string }

func (h Held) Error() string { return h.Reason }

// guard keeps a commit from deleting by accident.
func guard(w *state.World, set *manifest.Set, c Commit, f *difference) error {
	before, now := w.Adopted().Settings.Spec, set.Settings().Spec
	if w.Adopted().Commit != "" {
		if m := fixed(before, now); len(m) > 0 {
			return m
		}
	}
	if len(f.prune) == 0 {
		return nil
	}
	meant := strings.EqualFold(strings.TrimSpace(c.Trailers[PruneTrailer]), "yes")
	switch {
	case set.Len() == 0:
		return Held{fmt.Sprintf("commit %.7s declares no object at all, and %d are running: nothing is deleted. "+
			"To take everything down, use `writ down`; if the manifests are elsewhere, correct --path", c.Hash, f.held)}
	case meant:
		return nil
	case c.Rewritten:
		return Held{fmt.Sprintf("the branch was rewritten: commit %.7s does not follow the adopted %.7s, and would delete %s. "+
			"Add the trailer %q to a commit to confirm", c.Hash, w.Adopted().Commit, listed(f.prune), PruneTrailer+": yes")}
	case len(f.prune) > PruneFreely && len(f.prune)*100 > f.held*PrunePercent:
		return Held{fmt.Sprintf("commit %.7s would delete %d of %d objects: %s. Add the trailer %q to a commit to confirm",
			c.Hash, len(f.prune), f.held, listed(f.prune), PruneTrailer+": yes")}
	}
	return nil
}

func listed(records []*state.Record) string {
	const most = 5
	var names []string
	for _, r := range records[:min(most, len(records))] {
		names = append(names, r.Ref.String())
	}
	text := strings.Join(names, ", ")
	if n := len(records) - most; n > 0 {
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

// collisions gives the cluster IPs and node ports that a commit asks for and that cannot be given:
// outside the range, or held by another Service.
func (d *draft) collisions(f *difference) manifest.Mistakes {
	taken := newAddresses(d.settings())
	for r := range d.w.Services("") {
		if item, ok := d.set.Get(r.Ref); r.Origin == state.Builtin || ok && keeps(r, item.Object) {
			taken.take(r)
		}
	}
	taken.reserve()
	var m manifest.Mistakes
	for item := range d.set.All() {
		s, ok := item.Object.(*corev1.Service)
		if !ok {
			continue
		}
		for field, what := range taken.claim(item.Ref, s) {
			m = append(m, manifest.Mistake{Source: item.Source, Ref: item.Ref, What: field + ": " + what})
		}
	}
	return m
}

// keeps says that a Service keeps its allocation: it has nothing that its author wrote otherwise.
func keeps(r *state.Record, now manifest.Object) bool {
	s, ok := now.(*corev1.Service)
	return ok && r.Allocation != nil && s.Spec.Type != corev1.ServiceTypeExternalName
}

// reserve holds the addresses that are given by convention.
func (a *addresses) reserve() {
	for _, ref := range []manifest.Ref{manifest.ServiceRef("default", kubernetesService), manifest.ServiceRef("kube-system", dnsService)} {
		if ip := a.at(fixedOffset(ref)); a.ips[ip] == (manifest.Ref{}) {
			a.ips[ip] = ref
		}
	}
}

// claim takes what a Service asks for by itself, yielding what it cannot have by field.
func (a *addresses) claim(ref manifest.Ref, s *corev1.Service) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		if ip := s.Spec.ClusterIP; ip != "" && ip != corev1.ClusterIPNone && s.Spec.Type != corev1.ServiceTypeExternalName {
			holder, taken := a.holder(ip)
			switch {
			case !a.contains(ip):
				if !yield("spec.clusterIP", fmt.Sprintf("Invalid value: %q: the provided IP is not in the valid range %s", ip, a.prefix)) {
					return
				}
			case taken && holder != ref:
				if !yield("spec.clusterIP", fmt.Sprintf("Invalid value: %q: provided IP is already allocated to %s", ip, holder)) {
					return
				}
			default:
				a.ips[ip] = ref
			}
		}
		for i := range s.Spec.Ports {
			port := s.Spec.Ports[i].NodePort
			if port == 0 {
				continue
			}
			field := fmt.Sprintf("spec.ports[%d].nodePort", i)
			holder, taken := a.portHolder(port)
			switch {
			case port < a.low || port > a.high:
				if !yield(field, fmt.Sprintf("Invalid value: %d: provided port is not in the valid range. The range of valid ports is %d-%d", port, a.low, a.high)) {
					return
				}
			case taken && holder != ref:
				if !yield(field, fmt.Sprintf("Invalid value: %d: provided port is already allocated to %s", port, holder)) {
					return
				}
			default:
				a.ports[port] = ref
			}
		}
	}
}

// declared is the World with the ServiceAccounts and PriorityClasses of the commit: what declared Pods
// are admitted with, since objects of one commit count as existing in any order.
func (d *draft) declared() *state.World {
	if d.preview != nil {
		return d.preview
	}
	b := state.Batch{Writer: state.WriterReconcile, Base: d.w.Revision(), Now: d.now, Adopt: d.adopt}
	if b.Adopt == nil {
		a := d.w.Adopted()
		b.Adopt = &a
	}
	add := func(ref manifest.Ref, o manifest.Object, origin state.Origin) {
		b.Puts = append(b.Puts, state.Put{Ref: ref, Object: o, Origin: origin})
	}
	for item := range d.set.All() {
		switch item.Ref.Kind {
		case "Namespace":
			account := manifest.ServiceAccountRef(item.Ref.Name, "default")
			if _, ok := d.set.Get(account); !ok && d.w.Get(account) == nil {
				add(account, builtin(account), state.Builtin)
			}
		case "ServiceAccount", "PriorityClass":
			add(item.Ref, item.Object, state.Authored)
		}
	}
	for _, name := range systemNamespaces() {
		account := manifest.ServiceAccountRef(name, "default")
		if _, ok := d.set.Get(account); !ok && d.w.Get(account) == nil {
			add(account, builtin(account), state.Builtin)
		}
	}
	w, _, err := state.Apply(d.w, b, d.w.Revision()+1)
	if err != nil {
		d.err = err
		return d.w
	}
	d.preview = w
	return w
}
