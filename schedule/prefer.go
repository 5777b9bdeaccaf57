package schedule

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Upstream's weights of what is compared over all nodes that can take a Pod.
const (
	nodeAffinityWeight = 2
	podAffinityWeight  = 2
	taintWeight        = 3
)

// candidate is a node that can take the Pod, with what it is worth by each preference, before these
// are made comparable.
type candidate struct {
	node                    *node
	score                   int64
	labels, company, taints int64
}

// wishes are the preferences that a Pod has for nodes, or others for its company.
type wishes struct {
	labels  *nodeaffinity.PreferredSchedulingTerms
	company *company
	taints  bool // some node would rather not have every Pod
}

// wishesOf is nil when nothing tells nodes apart but their room.
func (x *Index) wishesOf(pod *corev1.Pod, c *company) *wishes {
	w := wishes{company: c, taints: x.shy > 0}
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil && len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) > 0 {
		if terms, err := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution); err == nil {
			w.labels = terms
		}
	}
	if w.labels == nil && (c == nil || len(c.worth) == 0) && !w.taints {
		return nil
	}
	return &w
}

func (w *wishes) of(n *node, q *question) candidate {
	c := candidate{node: n, score: score(n, q), company: w.company.likes(n)}
	if w.labels != nil && n.object != nil {
		c.labels = w.labels.Score(n.object)
	}
	for i := range n.shy {
		if untolerated(n.shy[i:i+1], q.pod.Spec.Tolerations) != nil {
			c.taints++
		}
	}
	return c
}

// best is the candidate with the highest sum of scores, each made comparable as upstream does: what a
// node is worth by its labels and taints against the best and the worst of all, company between both.
func best(all []candidate) *node {
	var labels, taints int64
	low, high := all[0].company, all[0].company
	for i := range all {
		labels, taints = max(labels, all[i].labels), max(taints, all[i].taints)
		low, high = min(low, all[i].company), max(high, all[i].company)
	}
	var top *candidate
	for i := range all {
		c := &all[i]
		if labels > 0 {
			c.score += nodeAffinityWeight * (c.labels * 100 / labels)
		}
		if taints > 0 {
			c.score += taintWeight * ((taints - c.taints) * 100 / taints)
		}
		if high > low {
			c.score += podAffinityWeight * ((c.company - low) * 100 / (high - low))
		}
		if top == nil || c.score > top.score {
			top = c
		}
	}
	return top.node
}

// shyTaints are those that only ask Pods to stay away.
func shyTaints(n *corev1.Node) []corev1.Taint {
	var all []corev1.Taint
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectPreferNoSchedule {
			all = append(all, t)
		}
	}
	return all
}
