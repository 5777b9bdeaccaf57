package manifest

import "fmt"

// longestStatefulSet is how long the name of a StatefulSet may be: its Pods carry it with a hash in a label of at most
// 63 characters.
const longestStatefulSet = 63 - len("-0123456789")

// statefulNames refuses StatefulSets that Kubernetes accepts and then makes no Pod for.
func (w *whole) statefulNames() {
	for _, p := range ofKind(w.objects, StatefulSetRef("", "")) {
		if n := len(p.Ref.Name); n > longestStatefulSet {
			w.about(p, "metadata.name", fmt.Sprintf("Invalid value: %q: has %d characters, and with the hash of a revision it is a label of its pods, which has at most 63: no more than %d", p.Ref.Name, n, longestStatefulSet))
		}
	}
}

// sharedClaims refuses two StatefulSets whose claims have the same names: a Pod of each would write to one volume.
func (w *whole) sharedClaims() {
	makers := w.claimMakers()
	for _, p := range ofKind(w.objects, StatefulSetRef("", "")) {
		for i, name := range claimTemplates(p.Object) {
			claim := name + "-" + p.Ref.Name + "-"
			if first := makers[p.Ref.Namespace+"/"+claim]; first != p {
				w.about(p, fmt.Sprintf("spec.volumeClaimTemplates[%d].metadata.name", i), fmt.Sprintf("Invalid value: %q: its claims are named %s0 and so on, as those of %s in %s; their pods would share volumes", name, claim, first.Ref, first.Source))
			}
		}
	}
}
