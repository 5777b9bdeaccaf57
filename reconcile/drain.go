package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
	"writ/schedule"
	"writ/state"
)

// A Node annotated with writ.dev/drain: "true" is cordoned, and its Pods go as far as their budgets allow, as kubectl
// drain evicts them: again whenever a budget allows more, until only those are left that stay. What it waits for
// stands on the Node.

// drainState is computed for a Node that is drained: how far it is.
const drainState = "writ.dev/drain-state"

// Beginnings of drainState.
const (
	drained      = "drained"
	draining     = "draining: "
	drainBlocked = "blocked: "
)

const drainer = "writ-drain"

// cordoned is a declared Node as the World holds it: one that is drained takes no new Pods.
func cordoned(n *corev1.Node) *corev1.Node {
	if n.Spec.Unschedulable || !manifest.Drains(n) {
		return n
	}
	n = n.DeepCopy()
	n.Spec.Unschedulable = true
	return n
}

// drains evicts what it may of every node that is to be emptied, and says of each what is left. It looks at all of them
// at once, by name, as they share budgets: that is one look however many Pods changed.
func (d *draft) drains() {
	x := drainage{d: d, leeways: map[manifest.Ref]leeway{}}
	for r := range d.w.Nodes() {
		switch {
		case manifest.Drains(r.Object) && r.Deletion == nil:
			x.empty(r)
		case r.Annotations[drainState] != "":
			d.annotate(r, drainState, "", "")
		}
	}
}

// drainage is what is known while nodes are emptied.
type drainage struct {
	d       *draft
	leeways map[manifest.Ref]leeway // of budgets, since the last Pod was evicted
}

// empty evicts what it may of a node.
func (x *drainage) empty(r *state.Record) {
	var waits []refusal
	going := 0
	for _, p := range x.d.evictable(r) {
		if p = x.d.w.Get(p.Ref); p == nil {
			continue
		}
		if p.Deletion == nil {
			if no := x.evict(r, p); no.why != "" {
				waits = append(waits, no)
				continue
			}
		}
		going++
	}
	x.d.drainedSoFar(r, going, waits)
}

// evictable are the Pods of a node that a drain ends, those that are not ready first: they cost no budget.
func (d *draft) evictable(r *state.Record) (list []*state.Record) {
	for p := range d.w.OnNode(state.Node(r.Ref.Name)) {
		if p.Ref.Kind == "Pod" && !terminal(p) && !outlasts(p) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *state.Record) int {
		return cmp.Or(whether(podReady(a), podReady(b)), a.Ref.Compare(b.Ref))
	})
	return list
}

// outlasts says that a Pod stays on a node that is drained: one of a DaemonSet, one that the node itself runs, and one
// that would come back at once, as it names the node or tolerates the cordon.
func outlasts(p *state.Record) bool {
	pod := p.Pod()
	if c := state.ControllerOf(p); c != nil && c.Kind == "DaemonSet" {
		return true
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror || pod.Spec.NodeName != "" {
		return true
	}
	return slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return schedule.Tolerates(&t, state.Cordon()) })
}

// refusal is why a Pod is not evicted yet.
type refusal struct {
	pod    *state.Record
	budget *state.Record // nil if there is more than one
	why    string        // empty if it is evicted
	never  bool          // nothing but a change of the budget or of what it is about helps
}

// evict ends a Pod if its budget allows it, by the rules of upstream's eviction.
func (x *drainage) evict(node, p *state.Record) refusal {
	d := x.d
	if p.PodStatus().Phase != corev1.PodPending {
		if no := x.refused(p); no.why != "" {
			return no
		}
	}
	clear(x.leeways)
	d.event(p, corev1.EventTypeNormal, "Evicting", drainer, "Evicting pod %s/%s: node %s is drained", p.Ref.Namespace, p.Ref.Name, node.Ref.Name)
	d.end(p, state.Evicted)
	return refusal{}
}

func (x *drainage) refused(p *state.Record) refusal {
	budgets := x.d.budgetsOf(p)
	if len(budgets) == 0 {
		return refusal{}
	}
	if len(budgets) > 1 {
		return refusal{pod: p, never: true, why: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."}
	}
	b := budgets[0]
	a, known := x.leeways[b.Ref]
	if !known {
		a = x.d.leeway(b)
		x.leeways[b.Ref] = a
	}
	if !podReady(p) {
		policy := b.Object.(*policyv1.PodDisruptionBudget).Spec.UnhealthyPodEvictionPolicy
		if policy != nil && *policy == policyv1.AlwaysAllow || a.err == nil && a.healthy >= a.desired && a.desired > 0 {
			return refusal{}
		}
	}
	if a.allowed() > 0 {
		return refusal{}
	}
	no := refusal{pod: p, budget: b, never: a.never()}
	switch {
	case a.err != nil:
		no.why = fmt.Sprintf("The disruption budget %s does not allow evicting pods currently because it failed sync: %s", b.Ref.Name, a.err)
	case a.expected <= 0:
		no.why = fmt.Sprintf("The disruption budget %s is a part of what controls its pods, and nothing does: write spec.minAvailable as a number", b.Ref.Name)
	case no.never:
		no.why = fmt.Sprintf("The disruption budget %s needs %d healthy pods of %d and allows none to be evicted: lower spec.minAvailable, raise spec.maxUnavailable, or run more pods", b.Ref.Name, a.desired, a.expected)
	default:
		no.why = fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Ref.Name, a.desired, a.healthy)
	}
	return no
}

// budgetsOf are the budgets that are about a Pod.
func (d *draft) budgetsOf(p *state.Record) (list []*state.Record) {
	for b := range d.w.List("policy", "PodDisruptionBudget", p.Ref.Namespace) {
		if s := manifest.Selector(b.Object); s != nil && b.Deletion == nil && s.Matches(labels.Set(p.Object.GetLabels())) {
			list = append(list, b)
		}
	}
	return list
}

// drainedSoFar states how far a drain is, and tells it where that is news.
func (d *draft) drainedSoFar(r *state.Record, going int, waits []refusal) {
	text := drained
	if going+len(waits) > 0 {
		text = draining
		if slices.ContainsFunc(waits, func(no refusal) bool { return no.never }) {
			text = drainBlocked
		}
		text += fmt.Sprintf("%d ending, %d waiting", going, len(waits))
		if len(waits) > 0 {
			text += ": " + waits[0].text()
		}
	}
	before := d.w.Get(r.Ref).Annotations[drainState]
	if before == text {
		return
	}
	d.annotate(r, drainState, text, "")
	switch {
	case text == drained:
		d.event(r, corev1.EventTypeNormal, "Drained", drainer, "Node %s is drained", r.Ref.Name)
	case len(waits) == 0:
		d.event(r, corev1.EventTypeNormal, "Draining", drainer, "Draining node %s: %d pods are ending", r.Ref.Name, going)
	case strings.HasSuffix(before, waits[0].text()): // told
	default:
		d.event(r, corev1.EventTypeWarning, "DrainWaits", drainer, "%s", waits[0].text())
		told := map[*state.Record]bool{nil: true}
		for _, no := range waits {
			if !told[no.budget] {
				told[no.budget] = true
				d.event(no.budget, corev1.EventTypeWarning, "DrainWaits", drainer, "Node %s waits to be drained: %s", r.Ref.Name, no.text())
			}
		}
	}
}

func (no *refusal) text() string {
	return "pod " + no.pod.Ref.Namespace + "/" + no.pod.Ref.Name + ": " + no.why
}

// drainHealth is how far a node is with being emptied; false for one that is not to be.
func drainHealth(r *state.Record) (State, string, bool) {
	text := r.Annotations[drainState]
	switch {
	case !manifest.Drains(r.Object):
		return 0, "", false
	case text == drained:
		return Suspended, drained, true
	case strings.HasPrefix(text, drainBlocked):
		return Degraded, "drain " + text, true
	case text == "":
		return Progressing, "not looked at yet", true
	}
	return Progressing, text, true
}
