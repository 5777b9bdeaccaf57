package reconcile

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"writ/manifest"
	"writ/state"
)

// A StatefulSet and a DaemonSet keep what they read in their ControllerRevisions, as a Deployment does in its
// ReplicaSets: the template in a revision names the copies, and so do the annotations of the revision.

// configuredSet is a StatefulSet with the template that it goes to in the place of the one that its author wrote.
func (d *draft) configuredSet(r *state.Record, set *appsv1.StatefulSet) *appsv1.StatefulSet {
	t := d.configured(r, &set.Spec.Template)
	if t == &set.Spec.Template {
		return set
	}
	next := *set
	next.Spec.Template = *t
	return &next
}

// configuredDaemons is configuredSet of a DaemonSet.
func (d *draft) configuredDaemons(r *state.Record, ds *appsv1.DaemonSet) *appsv1.DaemonSet {
	t := d.configured(r, &ds.Spec.Template)
	if t == &ds.Spec.Template {
		return ds
	}
	next := *ds
	next.Spec.Template = *t
	return &next
}

// settleRevisions is settleConfig of what keeps ControllerRevisions.
func (d *draft) settleRevisions(r *state.Record) {
	t := manifest.Template(r.Object)
	if t == nil || r.Deletion != nil || len(configReads(&t.Spec)) == 0 {
		return
	}
	follows := followsConfig(r.Object, t)
	var latest *state.Record
	var unlike []*state.Record
	for s := range d.w.Owned(r.UID) {
		c := revisionIn(s)
		if c == nil {
			continue
		}
		if latest == nil || c.Revision > revisionIn(latest).Revision {
			latest = s
		}
		if (c.Annotations[state.PinnedConfigAnnotation] != "") != follows {
			unlike = append(unlike, s)
		}
	}
	for _, s := range unlike {
		before, err := revisionTemplate(revisionIn(s))
		if err != nil || before.Annotations[manifest.RestartOnConfigChange] == "false" {
			continue
		}
		if follows {
			d.repinRevision(r, s, before, d.pinsFor(d.base, r, before), "keeps the configuration that it runs with")
		} else if s == latest && sameTemplate(pinnedTemplate(t, nil), pinnedTemplate(before, nil)) {
			d.repinRevision(r, s, before, nil, "does not follow its configuration any more")
		}
	}
}

// repinRevision gives a revision and its Pods other pins, or none, as repin.
func (d *draft) repinRevision(owner, s *state.Record, t *corev1.PodTemplateSpec, pins state.Pins, why string) {
	c := *revisionIn(s)
	text := pins.String()
	if c.Annotations[state.PinnedConfigAnnotation] == text {
		return
	}
	t = pinnedTemplate(t, pins)
	data, err := revisionData(t)
	if err != nil {
		return // as where the revision is compared, which says so
	}
	c.Data = runtime.RawExtension{Raw: data}
	c.Annotations = withPins(c.Annotations, text)
	d.pin(d.base, owner, t)
	puts := []state.Put{{Ref: s.Ref, Object: &c, Origin: s.Origin, Why: why}}
	for p := range d.w.Owned(owner.UID) {
		of := p.Object.GetLabels()[appsv1.ControllerRevisionHashLabelKey]
		if p.Ref.Kind != "Pod" || p.Origin != state.Derived || of != s.Ref.Name && of != c.Labels[appsv1.ControllerRevisionHashLabelKey] {
			continue
		}
		pod := *p.Pod()
		pod.Annotations = withPins(pod.Annotations, text)
		puts = append(puts, state.Put{Ref: p.Ref, Object: &pod, Origin: p.Origin, Why: why})
	}
	d.put(puts...)
}
