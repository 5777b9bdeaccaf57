package manifest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// whole is the objects of a commit as the checks of the whole look them up. What Kubernetes accepts and
// can never work is a mistake, what may come to work (through what runs in the cluster, or with another
// commit) a warning. Every check is linear in the number of objects; what a check needs of an object by
// itself is worked out once, when the object is read.
type whole struct {
	objects  []*parsed // sorted by Ref, no two with the same
	settings ClusterSpec
	byRef    map[Ref]*parsed
	broken   map[Ref]bool // declared, with mistakes of their own
	unread   bool         // something could not be identified: absence proves nothing

	custom      map[string]bool    // namespaces with custom resources, whose operators may make more
	claims      map[string]*parsed // see claimMakers
	classes     map[string]bool    // see volumeClasses
	spoilt      map[string]bool    // namespaces with broken objects, which may make pods
	pods        podIndex
	comparisons int

	mistakes, hints []finding
}

// about notes a mistake at a field.
func (w *whole) about(p *parsed, field, what string) {
	w.mistakes = append(w.mistakes, finding{p, field, what})
}

// hint notes a warning at a field.
func (w *whole) hint(p *parsed, field, what string) {
	w.hints = append(w.hints, finding{p, field, what})
}

// whole runs every check of the whole over valid objects.
func (l *loader) whole(objects []*parsed, settings ClusterSpec) {
	w := &whole{
		objects: objects, settings: settings, unread: l.unread,
		byRef: make(map[Ref]*parsed, len(objects)), broken: map[Ref]bool{}, custom: map[string]bool{}, spoilt: map[string]bool{},
	}
	for _, b := range l.broken {
		w.broken[b.ref], w.spoilt[b.ref.Namespace] = true, true
	}
	for _, p := range objects {
		w.byRef[p.Ref] = p
		if !IsKnown(p.Ref.GroupKind()) {
			w.custom[p.Ref.Namespace] = true
		}
	}
	w.pods = indexPods(objects)
	w.missing()
	w.undefined()
	w.services()
	w.endpoints()
	w.selectNothing()
	w.addresses()
	w.hostPorts()
	w.fullNames()
	w.statefulNames()
	w.sharedClaims()
	w.nodePortClashes()
	w.crowded()
	w.exclusiveClaims()
	w.autoscalers()
	w.dependencies()
	l.found = append(l.found, w.mistakes...)
	l.hints = append(l.hints, w.hints...)
}

// limited tells whether there were too many comparisons to go on with; what is left is not checked then.
func (w *whole) limited() bool {
	w.comparisons++
	return w.comparisons > maxComparisons
}

// podFacts is the pods that an object makes, or is.
type podFacts struct {
	labels map[string]string
	spec   *corev1.PodSpec
	path   string // of spec in the object

	annotations map[string]string
}

// podsOf is nil for objects that make no pods.
func podsOf(p *parsed) *podFacts {
	if pod, ok := p.Object.(*corev1.Pod); ok {
		return &podFacts{pod.Labels, &pod.Spec, "spec", pod.Annotations}
	}
	k := kinds[p.Ref.GroupKind()]
	if k == nil || k.template == nil {
		return nil
	}
	t := k.template(p.Object)
	if t == nil {
		return nil
	}
	at := "spec.template.spec"
	switch p.Ref.Kind {
	case "PodTemplate":
		return &podFacts{nil, &t.Spec, "template.spec", t.Annotations} // makes no pods by itself
	case "CronJob":
		at = "spec.jobTemplate.spec.template.spec"
	}
	return &podFacts{t.Labels, &t.Spec, at, t.Annotations}
}

// podIndex finds what makes pods by a label of the pods, and by namespace.
type podIndex struct {
	labelled map[pair][]*parsed
	inside   map[string][]*parsed
}

func indexPods(objects []*parsed) podIndex {
	x := podIndex{map[pair][]*parsed{}, map[string][]*parsed{}}
	selected := slices.ContainsFunc(objects, func(p *parsed) bool { return selects(p) })
	if !selected {
		return x
	}
	for _, p := range objects {
		if p.pods == nil || p.Ref.Kind == "PodTemplate" {
			continue
		}
		x.inside[p.Ref.Namespace] = append(x.inside[p.Ref.Namespace], p)
		for key, value := range p.pods.labels {
			at := pair{p.Ref.Namespace, key, value, false}
			x.labelled[at] = append(x.labelled[at], p)
		}
	}
	return x
}
