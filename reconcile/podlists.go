package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"

	"writ/manifest"
	"writ/state"
)

// What people do to single Pods by hand is written on their owner here. manifest.ReplacePodsAnnotation deletes each
// Pod of a list once: those that are there when the value is adopted are marked, in the same Plan, so that neither a
// clock nor a crash can make a Pod that came later one of them. manifest.QuarantineAnnotation lets Pods go.

const (
	// replaceMark is computed for a Pod that is to be replaced: the digest of the value that says so.
	replaceMark = "writ.dev/replace"
	// replaceSeen is computed for an owner: the digest of the value that was carried out last, and behind it the names
	// that no Pod had then.
	replaceSeen = "writ.dev/replace-pods-seen"
)

// podLists carries out the lists of Pods on an owner that somebody wrote. Of those that AllPods replaces, the ready
// ones go only while more than least are left; minReady is from when on a Pod is available, in seconds.
func (d *draft) podLists(r *state.Record, least int, minReady int32) {
	if state.ControllerOf(r) != nil || r.Deletion != nil {
		return
	}
	d.quarantines(r)
	names, err := manifest.PodList(r.Object, manifest.ReplacePodsAnnotation)
	if err != nil {
		names = nil // a mistake of the commit, and adopted by a version that did not know it
	}
	value := ""
	if len(names) > 0 {
		value = listDigest(r.Object.GetAnnotations()[manifest.ReplacePodsAnnotation])
	}
	seen, missing, _ := strings.Cut(r.Annotations[replaceSeen], " ")
	if seen != value {
		missing = d.markListed(r, names, value)
		d.annotate(r, replaceSeen, strings.TrimSpace(value+" "+missing), "")
	}
	if missing != "" {
		d.note(r.Ref, "metadata.annotations["+manifest.ReplacePodsAnnotation+"]", "names no pod of "+r.Ref.String()+": "+missing)
	}
	if value != "" {
		d.replaceMarked(r, slices.Contains(names, manifest.AllPods), least, minReady)
	}
}

func listDigest(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:6])
}

// markListed marks the Pods that a list names and takes all other marks away. It gives the names that no Pod has.
func (d *draft) markListed(r *state.Record, names []string, value string) (missing string) {
	there := map[string]bool{manifest.AllPods: true}
	for _, p := range podsBelow(d.w, r) {
		there[p.Ref.Name] = true
		if p.Deletion != nil {
			continue
		}
		mark := ""
		if slices.Contains(names, manifest.AllPods) || slices.Contains(names, p.Ref.Name) {
			mark = value
		}
		d.annotate(p, replaceMark, mark, "")
	}
	return strings.Join(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return there[n] }), ",")
}

// replaceMarked ends marked Pods: those that were named at once, of all of them no more than there are to spare. One
// that is ready and not available yet counts as well: a clock that is turned back makes every Pod such a one.
func (d *draft) replaceMarked(r *state.Record, all bool, least int, minReady int32) {
	var marked []*state.Record
	readies, available := 0, 0
	isAvailable := map[*state.Record]bool{}
	for _, p := range podsBelow(d.w, r) {
		if !active(p) {
			continue
		}
		if podReady(p) {
			readies++
			if d.available(p, minReady) {
				isAvailable[p] = true
				available++
			}
		}
		if replaced(p) {
			marked = append(marked, p)
		}
	}
	slices.SortFunc(marked, func(a, b *state.Record) int {
		return cmp.Or(whether(podReady(a), podReady(b)), whether(isAvailable[a], isAvailable[b]), leavesBefore(a, b))
	})
	for _, p := range marked {
		if all && podReady(p) {
			if readies <= least || isAvailable[p] && available <= least {
				continue
			}
			readies--
			if isAvailable[p] {
				available--
			}
		}
		d.end(p, "listed in "+manifest.ReplacePodsAnnotation)
		d.event(r, "Normal", "ReplacingPod", "reconcile", "Deleted pod %s, which %s lists", p.Ref.Name, manifest.ReplacePodsAnnotation)
	}
}

// leavesBefore orders Pods that are replaced: the highest ordinal of a StatefulSet first, of others the oldest.
func leavesBefore(a, b *state.Record) int {
	if c := state.ControllerOf(a); c != nil && c.Kind == "StatefulSet" {
		x, _ := ordinalOf(c.Name, a.Ref)
		y, _ := ordinalOf(c.Name, b.Ref)
		return cmp.Compare(y, x)
	}
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Ref.Name, b.Ref.Name))
}

// replaced says that a Pod is to be replaced.
func replaced(p *state.Record) bool { return p.Annotations[replaceMark] != "" }

// podsBelow are the Pods that an owner controls, itself or through its ReplicaSets.
func podsBelow(w *state.World, owner *state.Record) (pods []*state.Record) {
	for r := range w.Owned(owner.UID) {
		switch r.Object.(type) {
		case *appsv1.ReplicaSet, *batchv1.Job:
			pods = append(pods, podsBelow(w, r)...)
		default:
			if r.Ref.Kind == "Pod" {
				pods = append(pods, r)
			}
		}
	}
	return pods
}

// listed carries out the lists of a Deployment. Where all its Pods are replaced, the strategy's availability holds.
func (x *deployment) listed() {
	if x.dep.Annotations[manifest.QuarantineAnnotation]+x.dep.Annotations[manifest.ReplacePodsAnnotation]+x.r.Annotations[replaceSeen] == "" {
		return
	}
	_, unavailable := x.limits()
	x.d.podLists(x.r, int(x.want()-unavailable), x.dep.Spec.MinReadySeconds)
	for _, v := range x.all() { // how many more it may have follows from the others
		x.d.queue.add(Key{replicas, v.r.Ref})
	}
}

// surging is how many Pods a ReplicaSet may have beyond its size while its Pods are replaced: the surge of its
// Deployment, as far as no other ReplicaSet uses it. One that is to have none has none.
func (d *draft) surging(r *state.Record) int {
	if rs, ok := r.Object.(*appsv1.ReplicaSet); ok && deref(rs.Spec.Replicas) == 0 {
		return 0
	}
	marked := 0
	for p := range d.w.Owned(r.UID) {
		if p.Ref.Kind == "Pod" && active(p) && replaced(p) {
			marked++
		}
	}
	owner := controller(d.w, r)
	if marked == 0 || owner == nil {
		return 0
	}
	x := d.deployment(owner)
	if x == nil {
		return 0
	}
	surge, _ := x.limits()
	return max(0, min(marked, int(x.want()+surge-size(x.all()))))
}

// quarantines lets the Pods go that an owner's list names.
func (d *draft) quarantines(r *state.Record) {
	names, err := manifest.PodList(r.Object, manifest.QuarantineAnnotation)
	if err != nil || len(names) == 0 {
		return
	}
	missing := map[string]bool{}
	for _, n := range names {
		missing[n] = true
	}
	for p := range d.quarantined(r) {
		delete(missing, p.Ref.Name)
	}
	for _, p := range podsBelow(d.w, r) {
		if !missing[p.Ref.Name] {
			continue
		}
		delete(missing, p.Ref.Name)
		switch {
		case standsAuthored(p):
			d.note(r.Ref, "metadata.annotations["+manifest.QuarantineAnnotation+"]", fmt.Sprintf("pod %s is written in the repository: change its labels there", p.Ref.Name))
		case p.Deletion == nil:
			d.quarantine(r, p)
		}
	}
	for _, n := range names {
		if missing[n] {
			d.note(r.Ref, "metadata.annotations["+manifest.QuarantineAnnotation+"]", "names no pod of "+r.Ref.String()+": "+n)
		}
	}
}
