package reconcile

import (
	"iter"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
	"writ/state"
)

// A Pod in quarantine runs on without an owner, a Service or a replica's duty, to be looked at. Who let it go is kept
// on it: it lives for as long as that object names it, and not a moment longer than the object.

const (
	// quarantineLabel has the UID of who let a Pod go, so that its Pods are found.
	quarantineLabel = "writ.dev/quarantine"
	// quarantineFrom is an annotation with the kind and name of who let it go, as in Deployment.apps/web.
	quarantineFrom = "writ.dev/quarantined-from"
)

// inQuarantine says that a Pod was let go.
func inQuarantine(p *state.Record) bool { return p.Object.GetLabels()[quarantineLabel] != "" }

// quarantined are the Pods that an owner let go.
func (d *draft) quarantined(owner *state.Record) iter.Seq[*state.Record] {
	return quarantinedBy(d.w, owner)
}

func quarantinedBy(w *state.World, owner *state.Record) iter.Seq[*state.Record] {
	return w.Select("", "Pod", owner.Ref.Namespace, labels.SelectorFromValidatedSet(labels.Set{quarantineLabel: string(owner.UID)}))
}

// quarantine lets a Pod go: it loses its controller and the labels that its controller selects by, as somebody does who
// takes a label off by hand. No Job counts it any more.
func (d *draft) quarantine(owner, p *state.Record) {
	pod := *p.Pod()
	pod.OwnerReferences = slices.DeleteFunc(slices.Clone(pod.OwnerReferences), func(o metav1.OwnerReference) bool { return o.Controller != nil && *o.Controller })
	pod.Finalizers = untracked(pod.Finalizers)
	pod.Labels = maps.Clone(pod.Labels)
	if by := controller(d.w, p); by != nil {
		needs, _ := manifest.Selector(by.Object).Requirements()
		for _, need := range needs {
			delete(pod.Labels, need.Key())
		}
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[quarantineLabel] = string(owner.UID)
	pod.Annotations = maps.Clone(pod.Annotations)
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[quarantineFrom] = kindName(owner.Ref)
	d.put(state.Put{Ref: p.Ref, Object: &pod, Origin: p.Origin, Why: "in quarantine: " + manifest.QuarantineAnnotation + " of " + owner.Ref.String() + " names it"})
	d.event(owner, corev1.EventTypeNormal, "PodQuarantined", "reconcile", "Let go pod %s, which runs on until %s no longer names it", p.Ref.Name, manifest.QuarantineAnnotation)
}

func kindName(ref manifest.Ref) string { return ref.GroupKind().String() + "/" + ref.Name }

// jailer is who let a Pod go, nil if that is no longer there.
func jailer(w *state.World, p *state.Record) *state.Record {
	ref, ok := jailerRef(p)
	if !ok {
		return nil
	}
	owner := w.Get(ref)
	if owner == nil || string(owner.UID) != p.Object.GetLabels()[quarantineLabel] {
		return nil
	}
	return owner
}

func jailerRef(p *state.Record) (manifest.Ref, bool) {
	kind, name, ok := strings.Cut(p.Object.GetAnnotations()[quarantineFrom], "/")
	kind, group, _ := strings.Cut(kind, ".")
	return manifest.Ref{Group: group, Kind: kind, Namespace: p.Ref.Namespace, Name: name}, ok && inQuarantine(p)
}

// freed ends a Pod in quarantine that nobody names any more, and says whether it did.
func (d *draft) freed(p *state.Record) bool {
	if !inQuarantine(p) || standsAuthored(p) {
		return false
	}
	owner := jailer(d.w, p)
	if owner == nil {
		d.end(p, "who let it go is gone")
		return true
	}
	if names, err := manifest.PodList(owner.Object, manifest.QuarantineAnnotation); err == nil && slices.Contains(names, p.Ref.Name) {
		return false
	}
	d.end(p, "no longer in quarantine")
	return true
}
