package reconcile

import (
	"writ/manifest"
	"writ/state"
)

// declared is the World with the ServiceAccounts, classes and volumes of the commit: what declared Pods and claims
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
		case "ServiceAccount", "PriorityClass", "RuntimeClass", "StorageClass", "PersistentVolume":
			add(item.Ref, item.Object, state.Authored)
		}
	}
	for r := range d.w.List("", "PersistentVolume", "") { // one that goes is made again, if it is declared
		if _, ok := d.set.Get(r.Ref); standsAuthored(r) && (r.Deletion != nil || !ok) {
			b.Deletes = append(b.Deletes, state.Delete{Ref: r.Ref, UID: r.UID})
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
