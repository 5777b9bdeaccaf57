package schedule

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"

	"writ/state"
)

// refusal is why one node does not take a Pod: upstream's words, and for a resource what is free.
type refusal struct {
	words string
	asked int64
	free  int64
	show  func(int64) string // nil without numbers
}

// refuses gives the first reason why a node does not take the Pod, its room and its company left aside, after
// which upstream asks in this order. A Pod that names its node is asked by named.
func (q *question) refuses(n *node) *refusal {
	if n.object != nil && n.object.Spec.Unschedulable &&
		untolerated([]corev1.Taint{*state.Cordon()}, q.pod.Spec.Tolerations) != nil {
		return &refusal{words: "node(s) were unschedulable"}
	}
	if t := q.untolerated(n); t != nil {
		return untoleratedBy(t)
	}
	return q.mismatch(n)
}

func untoleratedBy(t *corev1.Taint) *refusal {
	return &refusal{words: "node(s) had untolerated taint(s) {" + strings.TrimSuffix(t.Key+": "+t.Value, ": ") + "}"}
}

// mismatch is what no toleration helps against.
func (q *question) mismatch(n *node) *refusal {
	if !q.anyLabels {
		if ok, err := q.affinity.Match(n.object); !ok || err != nil {
			return &refusal{words: "node(s) didn't match Pod's node affinity/selector"}
		}
	}
	if n.object != nil && n.object.Spec.PodCIDR == "" && !q.pod.Spec.HostNetwork {
		return &refusal{words: "node(s) had no range of pod addresses"} // none was left
	}
	if slices.ContainsFunc(q.need.ports, n.ports.has) {
		return &refusal{words: "node(s) didn't have free ports for the requested pod ports"}
	}
	if words := q.wants.refuses(n); words != "" {
		return &refusal{words: words}
	}
	return nil
}

// room gives every resource of which too little is left, nil if the Pod fits.
func (q *question) room(n *node) []refusal {
	var short []refusal
	free, ask := n.free(), q.need.amount
	if ask.pods > free.pods {
		short = append(short, refusal{words: "Too many pods", asked: n.used.pods + 1, free: n.total.pods})
	}
	lack := func(name string, asked, free int64, show func(int64) string) {
		if asked > 0 && asked > free {
			short = append(short, refusal{words: "Insufficient " + name, asked: asked, free: max(free, 0), show: show})
		}
	}
	lack("cpu", ask.cpu, free.cpu, cores)
	lack("memory", ask.memory, free.memory, bytes)
	lack("ephemeral-storage", ask.storage, free.storage, bytes)
	for _, name := range slices.Sorted(maps.Keys(ask.more)) {
		show := count
		if corev1helper.IsHugePageResourceName(name) {
			show = bytes
		}
		lack(string(name), ask.more[name], free.more[name], show)
	}
	return short
}

// explain is upstream's sentence with the numbers it leaves out: what is asked for and the most that
// any of the nodes has free.
func (x *Index) explain(q *question) string {
	refused := map[string]int{}
	most := map[string]refusal{}
	note := func(r refusal) {
		refused[r.words]++
		if m, ok := most[r.words]; !ok || r.free > m.free {
			most[r.words] = r
		}
	}
	few := x.candidates(q)
	for _, n := range x.nodes {
		if few != nil && !slices.Contains(few, n) && q.pod.Spec.NodeName == "" {
			note(refusal{words: "node(s) didn't satisfy plugin(s) [NodeAffinity]"})
			continue
		}
		if q.pod.Spec.NodeName != "" && q.pod.Spec.NodeName != n.name {
			note(refusal{words: "node(s) didn't match the requested node name"})
			continue
		}
		ask := q.refuses
		if q.pod.Spec.NodeName != "" {
			ask = q.named
		}
		if r := ask(n); r != nil {
			note(*r)
			continue
		}
		short := q.room(n)
		for _, r := range short {
			note(r)
		}
		if words := q.company.refuses(n); words != "" && len(short) == 0 {
			note(refusal{words: words})
		}
	}
	if len(x.nodes) == 0 {
		return "no nodes available to schedule pods"
	}
	var parts []string
	for words, n := range refused {
		part := fmt.Sprintf("%d %s", n, words)
		if m := most[words]; m.show != nil {
			part += fmt.Sprintf(" (requested %s, free %s)", m.show(m.asked), m.show(m.free))
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return fmt.Sprintf("0/%d nodes are available: %s.", len(x.nodes), strings.Join(parts, ", "))
}

func cores(milli int64) string { return resource.NewMilliQuantity(milli, resource.DecimalSI).String() }

func count(n int64) string { return strconv.FormatInt(n, 10) }

func bytes(n int64) string { return resource.NewQuantity(n, resource.BinarySI).String() }
