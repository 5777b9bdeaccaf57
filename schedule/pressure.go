package schedule

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
)

// systemCritical is the priority from which on the system rests on a Pod.
const systemCritical = 2_000_000_000

// untolerated is the first taint of a node that keeps the Pod away. Whoever requests something copes with a
// node that is short of memory, as upstream documents it.
func (q *question) untolerated(n *node) *corev1.Taint {
	for i := range n.taints {
		t := untolerated(n.taints[i:i+1], q.pod.Spec.Tolerations)
		if t != nil && (t.Key != corev1.TaintNodeMemoryPressure || q.bestEffort()) {
			return t
		}
	}
	return nil
}

func (q *question) bestEffort() bool { return qos.GetPodQOS(q.pod) == corev1.PodQOSBestEffort }

// named is why a node does not take a Pod that names it: a mismatch, a taint that would drive it out again, or
// that it is short of something. For each a kubelet would end the Pod at once.
func (q *question) named(n *node) *refusal {
	if r := q.mismatch(n); r != nil {
		return r
	}
	for i := range n.taints {
		if n.taints[i].Effect == corev1.TaintEffectNoExecute && untolerated(n.taints[i:i+1], q.pod.Spec.Tolerations) != nil {
			return untoleratedBy(&n.taints[i])
		}
	}
	if q.pod.Spec.Priority != nil && *q.pod.Spec.Priority >= systemCritical {
		return nil
	}
	var short []string
	for i := range n.taints {
		switch n.taints[i].Key {
		case corev1.TaintNodeMemoryPressure:
			short = append(short, string(corev1.NodeMemoryPressure))
		case corev1.TaintNodeDiskPressure:
			short = append(short, string(corev1.NodeDiskPressure))
		case corev1.TaintNodePIDPressure:
			short = append(short, string(corev1.NodePIDPressure))
		}
	}
	memory := []corev1.Taint{{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule}}
	switch {
	case len(short) == 0:
		return nil
	case len(short) == 1 && short[0] == string(corev1.NodeMemoryPressure) && (!q.bestEffort() || untolerated(memory, q.pod.Spec.Tolerations) == nil):
		return nil
	}
	return &refusal{words: "node(s) had condition: [" + strings.Join(short, " ") + "]"}
}
