package runtime

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pressureWords are upstream's for each condition: reason, message and event while it is true, and while it is not.
var pressureWords = []struct {
	kind      corev1.NodeConditionType
	bad, good [3]string
}{
	{corev1.NodeMemoryPressure,
		[3]string{"KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"},
		[3]string{"KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"}},
	{corev1.NodeDiskPressure,
		[3]string{"KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"},
		[3]string{"KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"}},
	{corev1.NodePIDPressure,
		[3]string{"KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"},
		[3]string{"KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"}},
}

// conditions are the node's: the pressures that its guard sees, and that it is ready. A change is told.
func (n *nodeStatus) conditions(pressures []corev1.NodeConditionType, now time.Time) []corev1.NodeCondition {
	var list []corev1.NodeCondition
	for i := range pressureWords {
		w := &pressureWords[i]
		c, words := corev1.NodeCondition{Type: w.kind, Status: corev1.ConditionFalse}, w.good
		if slices.Contains(pressures, w.kind) {
			c.Status, words = corev1.ConditionTrue, w.bad
		}
		c.Reason, c.Message = words[0], words[1]
		c = n.timed(c, now)
		if n.last != nil && n.was(w.kind) != c.Status {
			n.r.nodeEvent(corev1.EventTypeNormal, words[2], "Node %s status is now: %s", n.r.cfg.Node, words[2])
		}
		list = append(list, c)
	}
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}
	return append(list, n.timed(ready, now))
}

// was is a condition's status as it was stated last.
func (n *nodeStatus) was(kind corev1.NodeConditionType) corev1.ConditionStatus {
	for _, old := range n.last.Conditions {
		if old.Type == kind {
			return old.Status
		}
	}
	return corev1.ConditionFalse
}

// timed gives a condition the time of its transition.
func (n *nodeStatus) timed(c corev1.NodeCondition, now time.Time) corev1.NodeCondition {
	c.LastTransitionTime = metav1.NewTime(now).Rfc3339Copy()
	if n.last != nil {
		for _, old := range n.last.Conditions {
			if old.Type == c.Type && old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	c.LastHeartbeatTime = c.LastTransitionTime
	return c
}
