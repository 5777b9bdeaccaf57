package reconcile

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	daemonutil "k8s.io/kubernetes/pkg/controller/daemon/util"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// ending is a Pod that a DaemonSet ends.
type ending struct {
	p   *state.Record
	why string
}

// manage brings every node to the Pods that it is to have, whatever their template, and says whether it
// did anything.
func (x *daemonSet) manage() bool {
	var create []*daemonNode
	var ends []ending
	for _, n := range x.nodes {
		switch {
		case n.r == nil: // nobody ends a Pod that waits for a node that is gone
			for _, p := range n.living() {
				if p.Node == "" {
					ends = append(ends, ending{p, state.NodeGone})
				}
			}
		case n.fit.Runs && len(n.pods) == 0:
			create = append(create, n)
		case n.fit.Stays:
			new, gone := x.keep(n)
			ends = append(ends, gone...)
			if new {
				create = append(create, n)
			}
		default:
			for _, p := range n.living() {
				ends = append(ends, ending{p, "node " + n.name + " is not to have it"})
			}
		}
	}
	return x.sync(create, ends)
}

// keep looks at the Pods of a node that may have one: what has ended is replaced, what is too many goes. The
// oldest stays; with a surge one of the old template and one of the new stay until the new one is available.
func (x *daemonSet) keep(n *daemonNode) (create bool, ends []ending) {
	var running []*state.Record
	resting := false
	for _, p := range n.living() {
		switch p.PodStatus().Phase {
		case corev1.PodFailed:
			if x.rests(p) {
				resting = true
				continue
			}
			x.d.event(x.r, corev1.EventTypeWarning, "FailedDaemonPod", daemonSetController, "Found failed daemon pod %s/%s on node %s, will try to kill it", p.Ref.Namespace, p.Ref.Name, n.name)
			ends = append(ends, ending{p, "it failed"})
		case corev1.PodSucceeded:
			x.d.event(x.r, corev1.EventTypeNormal, "SucceededDaemonPod", daemonSetController, "Found succeeded daemon pod %s/%s on node %s, will try to delete it", p.Ref.Namespace, p.Ref.Name, n.name)
			ends = append(ends, ending{p, "it ended"})
		default:
			running = append(running, p)
		}
	}
	// Unlike upstream one that is available beats an older one that is not: the template or the strategy may have
	// changed in the middle of a surge, and the clock may have gone back.
	slices.SortStableFunc(running, func(a, b *state.Record) int {
		return cmp.Or(whether(!standsAuthored(a), !standsAuthored(b)), whether(!x.available(a), !x.available(b)))
	})
	if !daemonutil.AllowsSurge(x.ds) {
		for i := 1; i < len(running); i++ {
			ends = append(ends, ending{running[i], "one too many on node " + n.name})
		}
		return false, ends
	}
	if len(running) == 0 {
		return n.fit.Runs && !resting, ends
	}
	return false, append(ends, x.surplus(n, running)...)
}

// surplus is which of several Pods of a node go where a surge allows two: all but the oldest of the template and
// the oldest of another, and that as soon as it is not ready or the new one is available.
func (x *daemonSet) surplus(n *daemonNode, running []*state.Record) (ends []ending) {
	var fresh, old *state.Record
	for _, p := range running {
		switch updated := x.updated(p); {
		case updated && fresh == nil:
			fresh = p
		case !updated && old == nil:
			old = p
		default:
			ends = append(ends, ending{p, "one too many on node " + n.name})
		}
	}
	switch {
	case fresh == nil || old == nil:
	case !podReady(old):
		ends = append(ends, ending{old, "a new one takes its place, and it is not ready"})
	case x.d.available(fresh, x.ds.Spec.MinReadySeconds):
		ends = append(ends, ending{old, "a new one took its place"})
	}
	return ends
}

// sync ends and makes Pods, and says whether any was. What is written in the repository stays.
func (x *daemonSet) sync(create []*daemonNode, ends []ending) bool {
	ends = slices.DeleteFunc(ends, func(e ending) bool { return standsAuthored(e.p) })
	for _, e := range ends {
		x.d.end(e.p, e.why)
		x.d.event(x.r, corev1.EventTypeNormal, "SuccessfulDelete", daemonSetController, "Deleted pod: %s", e.p.Ref.Name)
	}
	return x.create(create) || len(ends) > 0
}

// create makes a Pod for each of the nodes. But for the node that they name they share the template's memory.
func (x *daemonSet) create(nodes []*daemonNode) bool {
	if len(nodes) == 0 || x.current == nil {
		return false
	}
	pod, err := x.admitted()
	if err != nil {
		if !x.failedBefore(err) {
			x.d.event(x.r, corev1.EventTypeWarning, "FailedCreate", daemonSetController, "Error creating: %s", err)
		}
		return false
	}
	puts := make([]state.Put, 0, len(nodes))
	for _, n := range nodes {
		one := *pod
		one.Name = x.name(pod.GenerateName, n.name)
		one.Spec.Affinity = daemonutil.ReplaceDaemonSetPodNodeNameNodeAffinity(pod.Spec.Affinity.DeepCopy(), n.name)
		puts = append(puts, state.Put{
			Ref: manifest.PodRef(x.r.Ref.Namespace, one.Name), Object: &one, Origin: state.Derived, Status: pending(&one),
			Annotations: x.patience(n), Why: "daemon of node " + n.name,
		})
		x.d.event(x.r, corev1.EventTypeNormal, "SuccessfulCreate", daemonSetController, "Created pod: %s", one.Name)
	}
	x.d.put(puts...)
	return true
}

// name is a new Pod's, by the node that it is for.
func (x *daemonSet) name(base, node string) string {
	for i := 0; ; i++ {
		name := generatedName(base, admit.Suffix(string(x.r.UID), node, x.d.base.Revision().String(), strconv.Itoa(i)))
		ref := manifest.PodRef(x.r.Ref.Namespace, name)
		if x.d.w.Get(ref) == nil && x.d.base.Get(ref) == nil {
			return name
		}
	}
}

// admitted is the Pod of the template after admission, with no name and no node yet.
func (x *daemonSet) admitted() (*corev1.Pod, error) {
	number := revisionIn(x.current).Revision
	t := daemonutil.CreatePodTemplate(x.ds.Spec.Template, &number, x.hash())
	return admit.Pod(x.d.w, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: x.r.Ref.Namespace, GenerateName: x.r.Ref.Name + "-", Labels: t.Labels, Annotations: t.Annotations,
			OwnerReferences: []metav1.OwnerReference{controllerRef(x.r)},
		},
		Spec: t.Spec,
	})
}
