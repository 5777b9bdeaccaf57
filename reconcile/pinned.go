package reconcile

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// A copy of a ConfigMap or Secret holds what the Pods of a template read of it, for as long as a template that was
// made or a Pod names it: Pods of the old template are given the old content, also when their containers are started
// again after the commit that changed it. A copy is an object of the same kind, so that who may not read Secrets sees
// none, and templates that read the same share it.

// Annotations of a copy.
const (
	pinnedFrom = "writ.dev/pinned-from" // the name of what it is a copy of
	pinnedKeys = "writ.dev/pinned-keys" // what of it: keysRead.String
)

// pin makes the copies that a template names and that are not there yet, from what its owner reads in a World. It
// belongs into the same step as that which is made of the template.
func (d *draft) pin(w *state.World, owner *state.Record, t *corev1.PodTemplateSpec) {
	pins := state.PinsOf(t.Annotations)
	read := configReads(&t.Spec)
	var puts []state.Put
	for _, of := range slices.SortedFunc(maps.Keys(pins), manifest.Ref.Compare) {
		ref := manifest.Ref{Kind: of.Kind, Namespace: owner.Ref.Namespace, Name: pins[of]}
		keys := read[of]
		if ref.Name == "" || keys == nil || d.w.Get(ref) != nil {
			continue
		}
		if c := contentOf(w, ref.Namespace, of, keys); c != nil {
			why := "what " + owner.Ref.String() + " reads of " + of.String()
			puts = append(puts, state.Put{Ref: ref, Object: copied(owner, ref, of, keys, c), Origin: state.Derived, Why: why})
		}
	}
	d.put(puts...)
}

func copied(owner *state.Record, ref, of manifest.Ref, keys *keysRead, c *content) manifest.Object {
	yes := true
	meta := metav1.ObjectMeta{
		Namespace: ref.Namespace, Name: ref.Name,
		Labels:          map[string]string{state.PinnedLabel: labelValue(of.Name)},
		Annotations:     map[string]string{pinnedFrom: of.Name, pinnedKeys: keys.String()},
		OwnerReferences: []metav1.OwnerReference{controllerRef(owner)},
	}
	if ref.Kind == "Secret" {
		return &corev1.Secret{ObjectMeta: meta, Immutable: &yes, Type: corev1.SecretTypeOpaque, Data: c.binary}
	}
	return &corev1.ConfigMap{ObjectMeta: meta, Immutable: &yes, Data: c.text, BinaryData: c.binary}
}

// labelValue cuts a name to what a label holds.
func labelValue(name string) string {
	return strings.TrimRight(name[:min(len(name), 63)], ".-_")
}

// copyKept takes away a copy that nothing names any more.
func (d *draft) copyKept(r *state.Record) {
	if state.PinnedCopy(r) && len(d.depends[r.Ref]) == 0 {
		d.delete(r, "no template and no pod names it any more")
	}
}

// copyWakes yields the copies that something named before a change.
func copyWakes(c *state.Change, yield func(Key)) {
	if c.Old == nil || c.New != nil && c.New.Object == c.Old.Object {
		return
	}
	for _, ref := range namedCopies(c.Old) {
		yield(Key{copies, ref})
	}
}

// settleConfig makes the ReplicaSets of a Deployment fit what its author wants of changes of configuration, without a
// rollout for that alone. One that was made before there were copies, or while changes were not followed, is pinned
// with its Pods to what there was before this computation; once changes are not followed any more, the present
// ReplicaSet and its Pods are given what there is.
func (d *draft) settleConfig(r *state.Record) {
	dep, ok := r.Object.(*appsv1.Deployment)
	if !ok || r.Deletion != nil {
		return
	}
	follows := followsConfig(dep, &dep.Spec.Template)
	var unlike []*state.Record
	for s := range d.w.Owned(r.UID) {
		if rs, ok := s.Object.(*appsv1.ReplicaSet); ok && s.Deletion == nil {
			pinned := rs.Spec.Template.Annotations[state.PinnedConfigAnnotation] != ""
			if pinned != (follows && followsConfig(dep, &rs.Spec.Template) && len(configReads(&rs.Spec.Template.Spec)) > 0) {
				unlike = append(unlike, s)
			}
		}
	}
	if len(unlike) == 0 {
		return
	}
	latest := d.latestOf(r, &dep.Spec.Template)
	for _, s := range unlike {
		rs := s.Object.(*appsv1.ReplicaSet)
		pinned := rs.Spec.Template.Annotations[state.PinnedConfigAnnotation] != ""
		switch {
		case follows && !pinned && (s == latest || deref(rs.Spec.Replicas) > 0 || d.hasPods(s)):
			d.repin(r, s, d.pinsFor(d.base, r, &rs.Spec.Template), "keeps the configuration that it runs with")
		case !follows && pinned && s == latest:
			d.repin(r, s, nil, "does not follow its configuration any more")
		}
		if s == latest {
			d.onlyOne(r, s.Ref)
		}
	}
}

// onlyOne takes away the empty ReplicaSets of an owner that are like one which was given other pins: the Deployment would
// go to the oldest of them, and what runs would be replaced by its like.
func (d *draft) onlyOne(owner *state.Record, ref manifest.Ref) {
	one := d.w.Get(ref).Object.(*appsv1.ReplicaSet)
	var like []*state.Record
	for s := range d.w.Owned(owner.UID) {
		rs, ok := s.Object.(*appsv1.ReplicaSet)
		if ok && s.Ref != ref && s.Deletion == nil && deref(rs.Spec.Replicas) == 0 && !d.hasPods(s) && sameTemplate(&one.Spec.Template, &rs.Spec.Template) {
			like = append(like, s)
		}
	}
	for _, s := range like {
		d.delete(s, "the same as "+ref.Name)
	}
}

func (d *draft) hasPods(s *state.Record) bool {
	for p := range d.w.Owned(s.UID) {
		if p.Ref.Kind == "Pod" {
			return true
		}
	}
	return false
}

// latestOf is the ReplicaSet of the highest revision whose template is that of its owner, whatever the content that it
// reads; nil if there is none.
func (d *draft) latestOf(owner *state.Record, t *corev1.PodTemplateSpec) (latest *state.Record) {
	plain := pinnedTemplate(t, nil)
	for s := range d.w.Owned(owner.UID) {
		rs, ok := s.Object.(*appsv1.ReplicaSet)
		if !ok || s.Deletion != nil || latest != nil && revisionOf(rs) <= revisionOf(latest.Object) {
			continue
		}
		same := sameTemplate(plain, pinnedTemplate(&rs.Spec.Template, nil))
		if !same && !otherTemplate(plain, pinnedTemplate(&rs.Spec.Template, nil)) {
			again, _ := defaulted(rs).(*appsv1.ReplicaSet)
			same = again != nil && sameTemplate(plain, pinnedTemplate(&again.Spec.Template, nil))
		}
		if same {
			latest = s
		}
	}
	return latest
}

// repin gives a ReplicaSet and its Pods other pins, or none. No container is started again for it.
func (d *draft) repin(owner, s *state.Record, pins state.Pins, why string) {
	rs := *s.Object.(*appsv1.ReplicaSet)
	rs.Spec.Template = *pinnedTemplate(&rs.Spec.Template, pins)
	d.pin(d.base, owner, &rs.Spec.Template)
	puts := []state.Put{{Ref: s.Ref, Object: &rs, Origin: s.Origin, Why: why}}
	for p := range d.w.Owned(s.UID) {
		if p.Ref.Kind != "Pod" || p.Origin != state.Derived {
			continue
		}
		pod := *p.Pod()
		pod.Annotations = withPins(pod.Annotations, pins.String())
		puts = append(puts, state.Put{Ref: p.Ref, Object: &pod, Origin: p.Origin, Why: why})
	}
	d.put(puts...)
}

// template puts the template that the Deployment goes to in the place of the one that its author wrote.
func (x *deployment) template() {
	t := x.d.configured(x.r, &x.dep.Spec.Template)
	if x.last = x.returned(t); x.last != nil {
		before := x.last.Object.(*appsv1.ReplicaSet).Spec.Template
		before.Labels = withoutHash(before.Labels)
		t = &before
	}
	if t == &x.dep.Spec.Template {
		return
	}
	dep := *x.dep
	dep.Spec.Template = *t
	x.dep = &dep
}

// changedConfig is what made the template of a Deployment another one, and the commit that did, if its author changed
// nothing in it: the ConfigMap or Secret that it reads which changed last. It is false if the template is another one
// itself, or the first.
func (x *deployment) changedConfig() (what manifest.Ref, commit string, ok bool) {
	var before *revision
	for _, v := range x.old {
		if before == nil || revisionOf(v.rs) > revisionOf(before.rs) {
			before = v
		}
	}
	if before == nil || !sameTemplate(pinnedTemplate(&x.dep.Spec.Template, nil), pinnedTemplate(&before.rs.Spec.Template, nil)) {
		return what, "", false
	}
	var last state.Revision
	now, was := state.PinsOf(x.dep.Spec.Template.Annotations), state.PinsOf(before.rs.Spec.Template.Annotations)
	for _, of := range slices.SortedFunc(maps.Keys(now), manifest.Ref.Compare) {
		if copied, known := was[of]; known && copied == now[of] {
			continue
		}
		of.Namespace = x.r.Ref.Namespace
		switch r := x.d.w.Get(of); {
		case r == nil && !ok:
			what, commit, ok = of, x.d.w.Adopted().Commit, true
		case r != nil && r.Revision > last:
			what, commit, ok, last = of, r.Commit, true, r.Revision
		}
	}
	return what, commit, ok
}

// why is why the Deployment has a template that it had not before.
func (x *deployment) why() string {
	if what, _, ok := x.changedConfig(); ok {
		return "another " + what.String()
	}
	return "new template"
}

// commit is the one that made the present template what it is.
func (x *deployment) commit() string {
	if x.last != nil {
		return "" // what it was made by is known
	}
	if _, commit, ok := x.changedConfig(); ok {
		return commit
	}
	return x.r.Commit
}
