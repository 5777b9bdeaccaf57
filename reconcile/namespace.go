package reconcile

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/state"
)

// namespace keeps the phase of a Namespace, and once it goes empties it: Pods with their grace, the
// rest at once, the Namespace itself last.
func (d *draft) namespace(r *state.Record) {
	if r.Deletion == nil {
		d.setStatus(r, &corev1.NamespaceStatus{Phase: corev1.NamespaceActive}, "")
		return
	}
	d.setStatus(r, &corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}, "")
	left := false
	for o := range d.w.Records() {
		if o.Ref.Namespace != r.Ref.Name {
			continue
		}
		switch {
		case o.Ref.Kind == "Pod":
			d.end(o, "its namespace is going")
		case o.Claim() != nil:
			d.endClaim(o, "its namespace is going")
		case o.Origin == state.Authored:
			left = true // only an adoption takes it away
			continue
		case state.PinnedCopy(o) && len(d.depends[o.Ref]) > 0: // until the last Pod that is given it has gone
		case metav1.GetControllerOfNoCopy(o.Object) == nil || controller(d.w, o) == nil || o.Ref.Kind == "ReplicaSet":
			d.delete(o, "its namespace is going")
		}
		left = left || d.w.Get(o.Ref) != nil
	}
	if !left {
		d.delete(r, "its namespace is empty")
	}
}
