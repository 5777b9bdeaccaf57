package manifest

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// addedLabels are labels that controllers put on pods, so that selecting by them is right although no
// template has them.
var addedLabels = map[string]bool{
	"pod-template-hash": true, "controller-revision-hash": true, "pod-template-generation": true,
	"statefulset.kubernetes.io/pod-name": true, "apps.kubernetes.io/pod-index": true,
	"controller-uid": true, "job-name": true, "batch.kubernetes.io/controller-uid": true,
	"batch.kubernetes.io/job-name": true, "batch.kubernetes.io/job-completion-index": true,
}

// selects tells whether an object is about the pods of others.
func selects(p *parsed) bool {
	switch p.Ref.Kind {
	case "Service", "PodDisruptionBudget", "NetworkPolicy":
		return IsKnown(p.Ref.GroupKind())
	}
	return false
}

// maxMatches is how many makers of pods are looked at for one Service.
const maxMatches = 50

// matches are the first makers of pods that a selector takes, in the order of their Ref.
func (w *whole) matches(namespace string, selector labels.Selector) []*parsed {
	needs, selectable := selector.Requirements()
	if !selectable {
		return nil // it has no requirements either, and takes nothing
	}
	selector = labels.NewSelector()
	var list []*parsed
	indexed := false
	for _, r := range needs {
		if addedLabels[r.Key()] {
			continue
		}
		selector = selector.Add(r)
		values := r.ValuesUnsorted()
		if len(values) != 1 || !r.Matches(labels.Set{r.Key(): values[0]}) {
			continue
		}
		if having := w.pods.labelled[pair{namespace, r.Key(), values[0], false}]; !indexed || len(having) < len(list) {
			list, indexed = having, true
		}
	}
	if !indexed {
		list = w.pods.inside[namespace]
	}
	var found []*parsed
	for _, p := range list {
		if len(found) == maxMatches || w.limited() {
			break
		}
		if selector.Matches(labels.Set(p.pods.labels)) {
			found = append(found, p)
		}
	}
	return found
}

// selectNothing warns of budgets and policies for pods that there are not.
func (w *whole) selectNothing() {
	for _, p := range w.objects {
		if !selects(p) || p.Ref.Kind == "Service" || w.unread {
			continue
		}
		selector := kinds[p.Ref.GroupKind()].selector(p.Object)
		if p.Ref.Kind == "NetworkPolicy" && selector.Empty() {
			continue // everything in the namespace, whatever that is
		}
		if len(w.matches(p.Ref.Namespace, selector)) == 0 && !w.spoilt[p.Ref.Namespace] && w.comparisons <= maxComparisons {
			field := "spec.selector"
			if p.Ref.Kind == "NetworkPolicy" {
				field = "spec.podSelector"
			}
			w.hint(p, field, "matches the pods of nothing that this commit declares in namespace "+p.Ref.Namespace)
		}
	}
}

// services checks what Services select and forward to, and what Ingresses forward to.
func (w *whole) services() {
	for _, p := range w.objects {
		switch o := p.Object.(type) {
		case *corev1.Service:
			if len(o.Spec.Selector) > 0 && o.Spec.Type != corev1.ServiceTypeExternalName && !w.unread {
				w.service(p, o)
			}
		case *networkingv1.Ingress:
			w.ingress(p, o)
		}
	}
}

func (w *whole) service(p *parsed, s *corev1.Service) {
	found := w.matches(p.Ref.Namespace, mapSelector(s.Spec.Selector))
	if w.comparisons > maxComparisons || w.spoilt[p.Ref.Namespace] {
		return
	}
	if len(found) == 0 {
		w.hint(p, "spec.selector", "matches the pods of nothing that this commit declares in namespace "+p.Ref.Namespace)
		return
	}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		field := index("spec.ports", i)
		if port.TargetPort.Type == intstr.String {
			if !anyHas(found, func(c *corev1.ContainerPort) bool {
				return c.Name == port.TargetPort.StrVal && c.Protocol == port.Protocol
			}) && len(found) < maxMatches {
				w.about(p, field+".targetPort", fmt.Sprintf("no container of %s has a port named %q (%s)", places(found), port.TargetPort.StrVal, port.Protocol))
			}
			continue
		}
		number := port.TargetPort.IntVal
		if number == 0 {
			number = port.Port
		}
		if allDeclare(found) && !anyHas(found, func(c *corev1.ContainerPort) bool { return c.ContainerPort == number && c.Protocol == port.Protocol }) {
			w.hint(p, field, fmt.Sprintf("forwards to %d/%s, which no container of %s lists among its ports", number, port.Protocol, places(found)))
		}
	}
}

// places names the first few objects with where they are.
func places(found []*parsed) string {
	const most = 3
	var names []string
	for _, p := range found[:min(len(found), most)] {
		names = append(names, fmt.Sprintf("%s in %s", p.Ref, p.Source))
	}
	text := strings.Join(names, ", ")
	if n := len(found) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// eachPort calls f with the ports of all containers that stay, until it is false.
func eachPort(spec *corev1.PodSpec, f func(at string, c *corev1.ContainerPort) bool) {
	list := func(at string, containers []corev1.Container, sidecars bool) bool {
		for i := range containers {
			if sidecars && !Sidecar(&containers[i]) {
				continue
			}
			for j := range containers[i].Ports {
				if !f(index(index(at, i)+".ports", j), &containers[i].Ports[j]) {
					return false
				}
			}
		}
		return true
	}
	_ = list("containers", spec.Containers, false) && list("initContainers", spec.InitContainers, true)
}

func anyHas(found []*parsed, is func(*corev1.ContainerPort) bool) bool {
	has := false
	for _, p := range found {
		eachPort(p.pods.spec, func(_ string, c *corev1.ContainerPort) bool {
			has = has || is(c)
			return !has
		})
	}
	return has
}

// allDeclare tells whether every one lists ports: who lists none, as is allowed, says nothing by it.
func allDeclare(found []*parsed) bool {
	for _, p := range found {
		if !anyHas([]*parsed{p}, func(*corev1.ContainerPort) bool { return true }) {
			return false
		}
	}
	return len(found) < maxMatches
}

// ingress checks that the Services that an Ingress names have the ports that it names.
func (w *whole) ingress(p *parsed, o *networkingv1.Ingress) {
	backends(o, func(field string, b *networkingv1.IngressServiceBackend) {
		found := w.byRef[ServiceRef(p.Ref.Namespace, b.Name)]
		if found == nil {
			return
		}
		s := found.Object.(*corev1.Service)
		if s.Spec.Type == corev1.ServiceTypeExternalName {
			return
		}
		for i := range s.Spec.Ports {
			if b.Port.Name != "" && s.Spec.Ports[i].Name == b.Port.Name || b.Port.Number != 0 && s.Spec.Ports[i].Port == b.Port.Number {
				return
			}
		}
		named := fmt.Sprint(b.Port.Number)
		if b.Port.Name != "" {
			named = fmt.Sprintf("%q", b.Port.Name)
		}
		w.about(p, field+".port", fmt.Sprintf("%s in %s has no port %s", found.Ref, found.Source, named))
	})
}
