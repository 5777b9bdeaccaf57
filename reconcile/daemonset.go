package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	daemonutil "k8s.io/kubernetes/pkg/controller/daemon/util"

	"writ/manifest"
	"writ/schedule"
	"writ/state"
)

const daemonSetController = "daemonset-controller"

// daemonSet is one DaemonSet in the making of a Plan. It is read again from the draft at every step.
type daemonSet struct {
	d        *draft
	r        *state.Record
	ds       *appsv1.DaemonSet
	versions *versions
	history  []*state.Record // revisions of the template, oldest first
	current  *state.Record   // that of the template now; nil while it waits for what it depends on
	nodes    []*daemonNode   // every node there is and every one that Pods are for, by name
	desired  int             // nodes that are to have a Pod
}

// daemonNode is a node with the Pods that are there for it.
type daemonNode struct {
	name string
	r    *state.Record // nil if there is no such node
	fit  schedule.Fit
	pods []*state.Record // those that count: ended ones that go, or that nobody but their author ends, do not
}

// daemonSet takes a DaemonSet as far as its rules allow now, as upstream's controller: first the right Pods on
// the right nodes, then, where that leaves nothing to do, the next ones of a new template.
func (d *draft) daemonSet(r *state.Record) {
	if r.Deletion != nil || d.held(r) {
		return
	}
	d.settleRevisions(r)
	if x := d.daemons(r); x != nil {
		_, unavailable := x.limits()
		d.podLists(r, x.desired-max(1, unavailable), x.ds.Spec.MinReadySeconds)
	}
	for range rounds {
		x := d.daemons(d.w.Get(r.Ref))
		if x == nil || d.err != nil || !x.step() {
			return
		}
	}
}

func (x *daemonSet) step() bool {
	if x.d.claimPods(x.r) || x.syncHistory() {
		return true
	}
	if x.drivenOut() || x.manage() {
		return true
	}
	return x.current != nil && x.ds.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType && x.roll()
}

// daemons reads a DaemonSet, nil for another kind.
func (d *draft) daemons(r *state.Record) *daemonSet {
	ds, ok := r.Object.(*appsv1.DaemonSet)
	if !ok {
		return nil
	}
	ds = d.configuredDaemons(r, ds)
	x := &daemonSet{d: d, r: r, ds: ds}
	x.versions = &versions{
		d: d, owner: r, template: &ds.Spec.Template, selector: ds.Spec.Selector, label: appsv1.DefaultDaemonSetUniqueLabelKey,
		hash: func(_ []byte, collisions int32) string { return templateHash(&ds.Spec.Template, counted(collisions)) },
	}
	x.history = x.versions.list()
	found, err := x.versions.find(x.history)
	if err != nil {
		d.err = fmt.Errorf("%s: %w", r.Ref, err)
		return nil
	}
	x.current = found
	x.read()
	return x
}

// counted is a collision count as upstream hashes it: none is not zero.
func counted(collisions int32) *int32 {
	if collisions == 0 {
		return nil
	}
	return &collisions
}

// read takes nodes and Pods from the draft.
func (x *daemonSet) read() {
	fits := fitting(x.ds)
	by := map[string]*daemonNode{}
	for r := range x.d.w.Nodes() {
		n, ok := r.Object.(*corev1.Node)
		if !ok {
			continue
		}
		status, _ := r.Status.(*corev1.NodeStatus)
		one := &daemonNode{name: r.Ref.Name, r: r, fit: fits.On(n, status)}
		if one.fit.Runs {
			x.desired++
		}
		by[one.name] = one
		x.nodes = append(x.nodes, one)
	}
	for p := range x.d.w.Owned(x.r.UID) {
		if p.Ref.Kind != "Pod" || terminal(p) && (p.Deletion != nil || standsAuthored(p)) {
			continue
		}
		name := daemonOf(p)
		if name == "" {
			continue
		}
		if by[name] == nil {
			by[name] = &daemonNode{name: name}
			x.nodes = append(x.nodes, by[name])
		}
		by[name].pods = append(by[name].pods, p)
	}
	slices.SortFunc(x.nodes, func(a, b *daemonNode) int { return strings.Compare(a.name, b.name) })
	for _, n := range x.nodes {
		slices.SortFunc(n.pods, olderDaemon)
	}
}

// fitting judges nodes by the template with the tolerations that every daemon has.
func fitting(ds *appsv1.DaemonSet) schedule.Daemon {
	t := daemonutil.CreatePodTemplate(ds.Spec.Template, nil, "")
	return schedule.NewDaemon(&corev1.Pod{ObjectMeta: t.ObjectMeta, Spec: t.Spec})
}

// daemonOf is the node that a Pod is on or for, empty if it is for none.
func daemonOf(p *state.Record) string {
	pod := p.Pod()
	if p.Node != "" || pod == nil {
		return string(p.Node)
	}
	name, err := daemonutil.GetTargetNodeName(pod)
	if err != nil {
		return ""
	}
	return name
}

// olderDaemon puts Pods that are bound first, then the oldest.
func olderDaemon(a, b *state.Record) int {
	return cmp.Or(whether(a.Node == "", b.Node == ""), a.Created.Compare(b.Created), strings.Compare(a.Ref.Name, b.Ref.Name))
}

// living are the Pods of a node that are not told to go.
func (n *daemonNode) living() []*state.Record {
	return slices.DeleteFunc(slices.Clone(n.pods), func(p *state.Record) bool { return p.Deletion != nil })
}

// drivenOut ends Pods that taints drive off their nodes now, before a rollout counts who is there.
func (x *daemonSet) drivenOut() (moved bool) {
	for _, n := range x.nodes {
		for _, p := range n.living() {
			if n.r != nil && p.Node != "" && x.d.driveOut(p, n.r) {
				moved = true
			}
		}
	}
	return moved
}

// waits is what a template waits for that never ran.
func (x *daemonSet) waits() []manifest.Ref {
	if x.current != nil {
		return nil
	}
	return x.d.waitsFor(x.r)
}

// syncHistory makes the revision of the template, or its latest one the latest of all.
func (x *daemonSet) syncHistory() bool {
	if len(x.waits()) > 0 {
		return false
	}
	if x.current != nil && x.current == x.history[len(x.history)-1] {
		return false
	}
	s, _ := x.r.Status.(*appsv1.DaemonSetStatus)
	before := int32(0)
	if s != nil {
		before = deref(s.CollisionCount)
	}
	_, collisions, err := x.versions.latest(x.history, before)
	if err != nil {
		x.d.err = fmt.Errorf("%s: %w", x.r.Ref, err)
		return false
	}
	if collisions != before {
		next := &appsv1.DaemonSetStatus{}
		if s != nil {
			next = s.DeepCopy()
		}
		next.CollisionCount = &collisions
		x.d.setStatus(x.r, next, "another template has the same hash")
	}
	return true
}

// hash is the label of Pods that are of the template, empty while it waits.
func (x *daemonSet) hash() string {
	if x.current == nil {
		return ""
	}
	return x.current.Object.GetLabels()[appsv1.DefaultDaemonSetUniqueLabelKey]
}

// updated says that a Pod is of the template, or as it is written in the repository.
func (x *daemonSet) updated(p *state.Record) bool {
	if standsAuthored(p) {
		return true
	}
	hash := x.hash()
	return hash != "" && p.Object.GetLabels()[appsv1.DefaultDaemonSetUniqueLabelKey] == hash
}

// truncate keeps no more revisions beside that of the template than revisionHistoryLimit says, if Pods allow it.
func (x *daemonSet) truncate() {
	limit := x.ds.Spec.RevisionHistoryLimit
	if limit == nil || x.current == nil || x.d.uses(x.r) {
		return
	}
	old := slices.DeleteFunc(slices.Clone(x.history), func(r *state.Record) bool { return r == x.current })
	x.versions.truncate(old, int(*limit), true, func(r *state.Record) string {
		return r.Object.GetLabels()[appsv1.DefaultDaemonSetUniqueLabelKey]
	})
}
