package control

import (
	"slices"
	"strings"

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
		below := children(w, r)
		if len(below) == 0 && r.Ref.Kind != "Pod" && r.Ref.Kind != "CronJob" && r.Ref.Kind != "DaemonSet" && r.Claim() == nil && r.Volume() == nil {
			continue
		}
		roots = append(roots, Leaf{Kind: r.Ref.Kind, Namespace: r.Ref.Namespace, Name: r.Ref.Name, State: phrase(w, r), Below: below})
	}
	return roots
}

func children(w *state.World, r *state.Record) []Leaf {
	var below []Leaf
	if r.Ref.Kind == "Pod" {
		below = containers(r)
	}
	for o := range w.Owned(r.UID) {
		if o.Ref.Kind == "ControllerRevision" || state.PinnedCopy(o) {
			continue // of what was: `writ history` shows it
		}
		below = append(below, Leaf{Kind: o.Ref.Kind, Namespace: o.Ref.Namespace, Name: o.Ref.Name, State: phrase(w, o), Below: children(w, o)})
	}
	if r.Ref.Kind != "Pod" {
		slices.SortFunc(below, func(a, b Leaf) int { return strings.Compare(a.Kind+"/"+a.Name, b.Kind+"/"+b.Name) })
	}
	return below
}

func containers(pod *state.Record) []Leaf {
	var below []Leaf
	status := pod.PodStatus()
	for i := range status.InitContainerStatuses {
		c := &status.InitContainerStatuses[i]
		below = append(below, Leaf{Kind: "init container", Name: c.Name, State: containerPhrase(c), Archive: state.FromArchive(c)})
	}
	statuses := status.ContainerStatuses
	for i := range statuses {
		below = append(below, Leaf{Kind: "container", Name: statuses[i].Name, State: containerPhrase(&statuses[i]), Archive: state.FromArchive(&statuses[i])})
	}
	return below
}
