package state

import (
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
)

// View is what one node may see of a World: its own Pods with their ConfigMaps, Secrets, claims, volumes and
// ServiceAccounts and the owners above them, the volumes whose files it has, and all Nodes, Services, EndpointSlices, Endpoints and Namespaces. Effectors see nothing else; it
// is what the agent of a large cluster will hold.
type View struct {
	w    *World
	self Node
}

// Share is the View of a node.
func Share(w *World, self Node) View { return View{w: w, self: self} }

// Self is the node whose View it is.
func (v View) Self() Node { return v.self }

// Revision is that of the World.
func (v View) Revision() Revision { return v.w.Revision() }

// Adopted is the adopted commit.
func (v View) Adopted() Adoption { return v.w.Adopted() }

// Node is the record of the node itself, nil while there is none.
func (v View) Node() *Record { return v.w.Get(manifest.NodeRef(string(v.self))) }

// Nodes yields the nodes.
func (v View) Nodes() iter.Seq[*Record] { return v.w.Nodes() }

// Pods yields the Pods bound to the node.
func (v View) Pods() iter.Seq[*Record] { return v.w.OnNode(v.self) }

// Pod is one Pod of the node, nil if it is not bound here.
func (v View) Pod(namespace, name string) *Record {
	if r := v.w.Get(manifest.PodRef(namespace, name)); r != nil && r.Node == v.self {
		return r
	}
	return nil
}

// Services yields all Services, or those of a namespace.
func (v View) Services(namespace string) iter.Seq[*Record] { return v.w.Services(namespace) }

// Service is one Service, or nil.
func (v View) Service(namespace, name string) *Record {
	return v.w.Get(manifest.ServiceRef(namespace, name))
}

// Namespace is one Namespace, or nil.
func (v View) Namespace(name string) *Record { return v.w.Get(manifest.NamespaceRef(name)) }

// Slices yields the EndpointSlices of a Service.
func (v View) Slices(namespace, service string) iter.Seq[*Record] {
	return v.w.follow(v.w.byLabel, join("EndpointSlice", "discovery.k8s.io", namespace, "kubernetes.io/service-name", service))
}

// ConfigMap is a ConfigMap that a Pod of the node refers to; nil if there is none or no Pod does.
func (v View) ConfigMap(namespace, name string) *Record {
	return v.referred(manifest.ConfigMapRef(namespace, name))
}

// Secret is a Secret that a Pod of the node refers to; nil if there is none or no Pod does.
func (v View) Secret(namespace, name string) *Record {
	return v.referred(manifest.SecretRef(namespace, name))
}

// ServiceAccount is the ServiceAccount of a Pod of the node, or nil.
func (v View) ServiceAccount(namespace, name string) *Record {
	return v.referred(manifest.ServiceAccountRef(namespace, name))
}

// RuntimeClass is a class that a Pod of the node names, nil if there is none.
func (v View) RuntimeClass(name string) *Record {
	return v.w.Get(manifest.Ref{Group: "node.k8s.io", Kind: "RuntimeClass", Name: name})
}

func (v View) referred(ref manifest.Ref) *Record {
	r := v.w.Get(ref)
	if r == nil {
		return nil
	}
	for pod := range v.Pods() {
		if pod.Ref.Namespace != ref.Namespace {
			continue
		}
		for needed := range v.needs(pod) {
			if needed == ref {
				return r
			}
		}
	}
	return nil
}

// needs yields what a Pod reads: ConfigMaps, Secrets, claims with their volumes, its RuntimeClass and its ServiceAccount
// with its pull secrets.
func (v View) needs(pod *Record) iter.Seq[manifest.Ref] {
	return func(yield func(manifest.Ref) bool) {
		spec := &pod.Pod().Spec
		ns := pod.Ref.Namespace
		configMaps, secrets := manifest.PodReferences(spec)
		for _, name := range configMaps {
			if !yield(manifest.ConfigMapRef(ns, name)) {
				return
			}
		}
		for _, name := range secrets {
			if !yield(manifest.SecretRef(ns, name)) {
				return
			}
		}
		for _, ref := range PinsOf(pod.Object.GetAnnotations()).Copies(ns) {
			if PinnedCopy(v.w.Get(ref)) && !yield(ref) {
				return
			}
		}
		if !v.claims(pod, yield) {
			return
		}
		if c := spec.RuntimeClassName; c != nil && !yield(manifest.Ref{Group: "node.k8s.io", Kind: "RuntimeClass", Name: *c}) {
			return
		}
		account := manifest.ServiceAccountRef(ns, cmpOr(spec.ServiceAccountName, "default"))
		if !yield(account) {
			return
		}
		if r := v.w.Get(account); r != nil {
			if a, ok := r.Object.(*corev1.ServiceAccount); ok {
				for _, s := range a.ImagePullSecrets {
					if !yield(manifest.SecretRef(ns, s.Name)) {
						return
					}
				}
			}
		}
	}
}

// Kin yields what has to be known beside a Pod to restore it on an empty store: its controller, the
// controller's controller and so on, what it reads, and the Services that select it.
func (v View) Kin(pod *Record) iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		for r := v.controller(pod); r != nil; r = v.controller(r) {
			if !yield(r) {
				return
			}
		}
		for ref := range v.needs(pod) {
			if r := v.w.Get(ref); r != nil && !yield(r) {
				return
			}
		}
		for s := range v.Services(pod.Ref.Namespace) {
			service, ok := s.Object.(*corev1.Service)
			if ok && len(service.Spec.Selector) > 0 && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Object.GetLabels())) && !yield(s) {
				return
			}
		}
	}
}

func (v View) controller(r *Record) *Record {
	c := ControllerOf(r)
	if c == nil {
		return nil
	}
	group, _, _ := strings.Cut(c.APIVersion, "/")
	if group == c.APIVersion {
		group = ""
	}
	owner := v.w.Get(manifest.Ref{Group: group, Kind: c.Kind, Namespace: r.Ref.Namespace, Name: c.Name})
	if owner == nil || owner.UID != c.UID {
		return nil
	}
	return owner
}

// Records yields every record that the View holds, each once: what is sent to the node's agent.
func (v View) Records() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		seen := map[manifest.Ref]bool{}
		once := func(r *Record) bool {
			if r == nil || seen[r.Ref] {
				return true
			}
			seen[r.Ref] = true
			return yield(r)
		}
		for _, list := range []iter.Seq[*Record]{
			v.Nodes(), v.w.List("", "Namespace", ""), v.w.Services(""), v.w.List("discovery.k8s.io", "EndpointSlice", ""), v.w.List("", "Endpoints", ""),
		} {
			for r := range list {
				if !once(r) {
					return
				}
			}
		}
		for volume := range v.Volumes() {
			if !once(volume) {
				return
			}
		}
		for pod := range v.Pods() {
			if !once(pod) {
				return
			}
			for ref := range v.needs(pod) {
				if !once(v.w.Get(ref)) {
					return
				}
			}
			for r := range v.Kin(pod) {
				if !once(r) {
					return
				}
			}
		}
	}
}
