package schedule

import corev1 "k8s.io/api/core/v1"

// MakesRoom says that the end of one Pod is enough for another to fit in its place, whatever else runs on
// the node: the other asks for nothing that the first does not give back.
func MakesRoom(gone, next *corev1.Pod) bool {
	has, asks := needOf(gone), needOf(next)
	return has.amount.fits(asks.amount)
}
