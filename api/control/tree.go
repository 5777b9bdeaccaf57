package control

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"writ/reconcile"
	"writ/state"
)

// Leaf is an object with what stands below it: Deployment, ReplicaSet, Pod, container.
type Leaf struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Archive   bool   `json:"archive,omitempty"` // a container whose image came from the node's folder of archives
	Below     []Leaf `json:"below,omitempty"`
}

// Tree shows who owns what, claims with their volumes, and CronJobs and DaemonSets also while they have nothing. Other
// objects that own nothing and run nothing are left out.
func Tree(w *state.World, namespace string) []Leaf {
	var roots []Leaf
	for r := range w.Records() {
		if namespace != "" && r.Ref.Namespace != namespace || state.ControllerOf(r) != nil {
			continue
		}
		l := leaf(w, r)
		if len(l.Below) == 0 && r.Ref.Kind != "Pod" && r.Ref.Kind != "CronJob" && r.Ref.Kind != "DaemonSet" && r.Claim() == nil && r.Volume() == nil {
			continue
		}
		roots = append(roots, l)
	}
	return roots
}

func leaf(w *state.World, r *state.Record) Leaf {
	l := Leaf{Kind: r.Ref.Kind, Namespace: r.Ref.Namespace, Name: r.Ref.Name, State: phrase(w, r)}
	if l.Kind == "Pod" {
		l.Below = containers(w, r)
	}
	for o := range w.Owned(r.UID) {
		if o.Ref.Kind == "ControllerRevision" || state.PinnedCopy(o) {
			continue // of what was: `writ history` shows it
		}
		below := leaf(w, o)
		l.Below = append(l.Below, below)
		l.State = untold(l.State, below)
	}
	if l.Kind != "Pod" {
		slices.SortFunc(l.Below, func(a, b Leaf) int { return strings.Compare(a.Kind+"/"+a.Name, b.Kind+"/"+b.Name) })
	}
	return l
}

// untold is what a state says that is not told again of the Pods below.
func untold(text string, below Leaf) string {
	if below.Kind == "Pod" {
		text, _, _ = strings.Cut(text, ": pod "+below.Name+": ")
		return text
	}
	for _, l := range below.Below {
		text = untold(text, l)
	}
	return text
}

// containers are those of a Pod. The one that the Pod's health is about says the whole reason.
func containers(w *state.World, pod *state.Record) []Leaf {
	var below []Leaf
	_, reason := reconcile.Health(w, pod.Ref)
	add := func(kind string, c *corev1.ContainerStatus) {
		l := Leaf{Kind: kind, Name: c.Name, State: containerPhrase(c), Archive: state.FromArchive(c)}
		if why, ok := strings.CutPrefix(reason, "container "+c.Name+": "); ok {
			l.State = why
		}
		below = append(below, l)
	}
	status := pod.PodStatus()
	for i := range status.InitContainerStatuses {
		add("init container", &status.InitContainerStatuses[i])
	}
	for i := range status.ContainerStatuses {
		add("container", &status.ContainerStatuses[i])
	}
	return below
}
