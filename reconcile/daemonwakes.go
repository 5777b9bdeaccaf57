package reconcile

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// daemonWakes: what of a node decides whether it is to have a daemon concerns every DaemonSet.
func daemonWakes(w *state.World, c *state.Change, yield func(Key)) {
	if c.Old != nil && c.New != nil && !newer(c) && maps.Equal(c.Old.Object.GetLabels(), c.New.Object.GetLabels()) &&
		slices.EqualFunc(keeping(c.Old), keeping(c.New), func(a, b corev1.Taint) bool { return a.MatchTaint(&b) && a.Value == b.Value }) {
		return
	}
	for r := range w.List("apps", "DaemonSet", "") {
		keysFor(r.Ref, yield)
	}
}

// keeping are the taints of a node, also those that its conditions and a cordon stand for.
func keeping(r *state.Record) []corev1.Taint {
	n, ok := r.Object.(*corev1.Node)
	if !ok {
		return nil
	}
	status, _ := r.Status.(*corev1.NodeStatus)
	return state.NodeTaints(n, status)
}
