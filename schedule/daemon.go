package schedule

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"writ/state"
)

// Daemon is a Pod that is to run once on every node that can have it, with the tolerations that such
// Pods are given. It is asked about many nodes.
type Daemon struct {
	pod      *corev1.Pod
	affinity nodeaffinity.RequiredNodeAffinity
}

// NewDaemon makes a Pod ready to be asked about. The Pod must not be modified as long as it is used.
func NewDaemon(pod *corev1.Pod) Daemon {
	return Daemon{pod: pod, affinity: nodeaffinity.GetRequiredNodeAffinity(pod)}
}

// Fit is how a node stands to a daemon.
type Fit struct {
	Runs   bool // it is to have one
	Stays  bool // one that runs there is left alone
	Waited bool // it would be to have one if it were ready
}

// On is upstream's rule: a node has to be the one that the Pod names and to have the labels that it asks
// for. A taint NoSchedule that the Pod does not tolerate keeps it from coming, one NoExecute from staying.
func (x Daemon) On(n *corev1.Node, s *corev1.NodeStatus) Fit {
	if name := x.pod.Spec.NodeName; name != "" && name != n.Name {
		return Fit{}
	}
	if ok, err := x.affinity.Match(n); !ok || err != nil {
		return Fit{}
	}
	taints := state.NodeTaints(n, s)
	fit := Fit{Runs: true, Stays: true, Waited: true}
	for i := range taints {
		if taints[i].Effect == corev1.TaintEffectPreferNoSchedule || untolerated(taints[i:i+1], x.pod.Spec.Tolerations) == nil {
			continue
		}
		fit.Runs = false
		fit.Stays = fit.Stays && taints[i].Effect != corev1.TaintEffectNoExecute
		fit.Waited = fit.Waited && (taints[i].Key == corev1.TaintNodeNotReady || taints[i].Key == corev1.TaintNodeUnreachable)
	}
	return fit
}

// namedNodes are the nodes that every alternative of a Pod's node affinity names, nil if one of them
// names none: upstream's short way to the node of a daemon.
func namedNodes(pod *corev1.Pod) []string {
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	var names []string
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		at := slices.IndexFunc(t.MatchFields, func(r corev1.NodeSelectorRequirement) bool {
			return r.Key == metav1.ObjectNameField && r.Operator == corev1.NodeSelectorOpIn
		})
		if at < 0 {
			return nil
		}
		names = append(names, t.MatchFields[at].Values...)
	}
	return names
}
