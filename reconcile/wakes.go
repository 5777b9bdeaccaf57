package reconcile

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
	"writ/state"
)

// wakesOf yields the keys that one change wakes.
func wakesOf(w *state.World, c *state.Change, yield func(Key)) {
	keysFor(c.Ref, yield)
	copyWakes(c, yield)
	adoptionWakes(w, c, yield)
	if workload(c.Ref.GroupKind()) {
		ownerWakes(w, c, yield)
		letGoWakes(w, c, yield)
		if gone(c) || c.Old != nil && newer(c) {
			owned(w, c.Old, yield)
		}
	}
	switch c.Ref.GroupKind().String() {
	case "PodDisruptionBudget.policy":
		allowanceWakes(c, yield)
	case "Deployment.apps", "ReplicaSet.apps", "StatefulSet.apps", "ReplicationController":
		scaleWakes(w, c, yield)
	case "Job.batch":
		if gone(c) {
			cronWakes(c.Old, yield)
		}
	case "HorizontalPodAutoscaler.autoscaling":
		autoscalerWakes(c, yield)
	case "Pod":
		statefulWakes(w, c, yield)
		podWakes(w, c, yield)
		budgetWakes(w, c, yield)
		ownerWakes(w, c, yield)
	case "Node":
		jobWakes(w, c, yield)
		nodeWakes(w, c, yield)
		daemonWakes(w, c, yield)
		drainWakes(c, yield)
	case "Service":
		if gone(c) {
			yield(Key{Concern: builtins})
		}
		if c.Old != nil && c.Old.Allocation != nil && (gone(c) || c.New.Allocation != c.Old.Allocation || c.New.Object != c.Old.Object) {
			yield(Key{Concern: allocation}) // what it had may be free
		}
		yield(Key{mirrors, manifest.EndpointsRef(c.Ref.Namespace, c.Ref.Name)})
	case "EndpointSlice.discovery.k8s.io":
		for _, r := range []*state.Record{c.Old, c.New} {
			if service := state.ServiceOf(r); service != "" {
				yield(Key{endpoints, manifest.ServiceRef(c.Ref.Namespace, service)})
				yield(Key{mirrors, manifest.EndpointsRef(c.Ref.Namespace, service)})
			}
		}
	case "PersistentVolumeClaim":
		statefulWakes(w, c, yield)
		claimWakes(w, c, yield)
	case "PersistentVolume":
		volumeWakes(w, c, yield)
	case "StorageClass.storage.k8s.io":
		yield(Key{Concern: placement})
		unboundClaims(w, yield)
	case "Namespace":
		if gone(c) {
			yield(Key{Concern: builtins})
		}
	case "ServiceAccount", "ConfigMap":
		if gone(c) || c.Ref.Kind == "ServiceAccount" {
			yield(Key{builtins, manifest.NamespaceRef(c.Ref.Namespace)})
		}
	}
	if c.Ref.Kind == "ServiceAccount" || c.Ref.Kind == "PriorityClass" || c.Ref.Kind == "RuntimeClass" {
		for gk := range workloadConcerns { // pods that could not be admitted
			for r := range w.List(gk.Group, gk.Kind, c.Ref.Namespace) {
				keysFor(r.Ref, yield)
			}
		}
		for r := range w.Pods(c.Ref.Namespace) {
			if r.Node == "" {
				yield(Key{pods, r.Ref})
			}
		}
	}
	if gone(c) && c.Ref.Namespace != "" {
		if ns := w.Get(manifest.NamespaceRef(c.Ref.Namespace)); ns != nil && ns.Deletion != nil {
			yield(Key{namespaces, ns.Ref})
		}
	}
}

func gone(c *state.Change) bool { return c.New == nil }

func owned(w *state.World, owner *state.Record, yield func(Key)) {
	for r := range w.Owned(owner.UID) {
		keysFor(r.Ref, yield)
	}
}

func podWakes(w *state.World, c *state.Change, yield func(Key)) {
	podClaimWakes(w, c, yield)
	if c.Old == nil || c.New == nil || routing(c.Old) != routing(c.New) || c.Old.Object != c.New.Object || newer(c) {
		selecting(w, c, func(s *state.Record) { yield(Key{endpoints, s.Ref}) })
	}
	freed := c.Old != nil && c.Old.Node != "" && (c.New == nil || terminal(c.New) != terminal(c.Old))
	waits := c.New != nil && c.New.Node == "" || c.New == nil && c.Old.Node == ""
	if freed || waits {
		yield(Key{Concern: placement})
	}
}

// route is what of a Pod shows in EndpointSlices.
type route struct {
	ip                  string
	node                state.Node
	ready, going, ended bool
}

func routing(r *state.Record) route {
	return route{
		ip: r.PodStatus().PodIP, node: r.Node, ready: podReady(r), going: r.Deletion != nil, ended: terminal(r),
	}
}

func newer(c *state.Change) bool { return c.Old.UID != c.New.UID }

// selecting yields the Services that select a changed Pod before or after.
func selecting(w *state.World, c *state.Change, yield func(*state.Record)) {
	for s := range w.Services(c.Ref.Namespace) {
		service, ok := s.Object.(*corev1.Service)
		if !ok || len(service.Spec.Selector) == 0 {
			continue
		}
		selector := labels.SelectorFromValidatedSet(service.Spec.Selector)
		for _, r := range []*state.Record{c.Old, c.New} {
			if r != nil && selector.Matches(labels.Set(r.Object.GetLabels())) {
				yield(s)
				break
			}
		}
	}
}

// ownerWakes yields the controllers of a changed object, and theirs.
func ownerWakes(w *state.World, c *state.Change, yield func(Key)) {
	for _, r := range []*state.Record{c.Old, c.New} {
		for r != nil {
			if r = controller(w, r); r != nil {
				keysFor(r.Ref, yield)
			}
		}
	}
}

func nodeWakes(w *state.World, c *state.Change, yield func(Key)) {
	yield(Key{Concern: registration})
	yield(Key{Concern: placement})
	came := c.Old == nil || c.New == nil
	if came || nodeReady(c.Old) != nodeReady(c.New) || c.Old.Object != c.New.Object {
		unboundClaims(w, yield)
	}
	moved, driven := zone(c.Old) != zone(c.New), driven(c.Old, c.New)
	if !came && !moved && !driven {
		return
	}
	for r := range w.OnNode(state.Node(c.Ref.Name)) {
		if came || driven {
			keysFor(r.Ref, yield)
		}
		if moved {
			selecting(w, &state.Change{Ref: r.Ref, New: r}, func(s *state.Record) { yield(Key{endpoints, s.Ref}) })
		}
	}
}

// zone is where a node is, as its endpoints show it.
func zone(r *state.Record) string {
	if r == nil {
		return ""
	}
	return r.Object.GetLabels()[corev1.LabelTopologyZone]
}

// controller is the record of the controlling owner, nil if there is none or it is another
// incarnation.
func controller(w *state.World, r *state.Record) *state.Record {
	c := state.ControllerOf(r)
	if c == nil {
		return nil
	}
	owner := w.Get(manifest.Ref{Group: groupOf(c.APIVersion), Kind: c.Kind, Namespace: r.Ref.Namespace, Name: c.Name})
	if owner == nil || owner.UID != c.UID {
		return nil
	}
	return owner
}

func groupOf(apiVersion string) string {
	for i := range apiVersion {
		if apiVersion[i] == '/' {
			return apiVersion[:i]
		}
	}
	return ""
}
