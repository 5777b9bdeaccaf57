package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"writ/manifest"
	"writ/state"
)

// facts shows what a Put states in a few words, each after a space.
func facts(p *state.Put) string {
	var b strings.Builder
	if p.Object != nil {
		fmt.Fprintf(&b, " %s%s", p.Origin, digest(p.Object))
	}
	if p.Node != "" {
		fmt.Fprintf(&b, " node=%s", p.Node)
	}
	if p.Deletion != nil {
		fmt.Fprintf(&b, " deletion=%ds", p.Deletion.Grace)
	}
	if a := p.Allocation; a != nil {
		b.WriteString(AllocationText(a))
	}
	if c := p.Controller; c != nil {
		fmt.Fprintf(&b, " controller=%s", cmp.Or(c.Name, "none"))
	}
	for _, key := range slices.Sorted(maps.Keys(p.Annotations)) {
		value := p.Annotations[key]
		if key == RolloutAnnotation {
			value = rolledText(value)
		}
		fmt.Fprintf(&b, " %s=%s", key[strings.LastIndexByte(key, '/')+1:], value)
	}
	if s := p.Scaling; s != nil {
		for _, r := range s.Recommended {
			fmt.Fprintf(&b, " recommended=%d", r.Replicas)
		}
	}
	if p.Status != nil {
		b.WriteString(StatusText(p.Status))
	}
	return b.String()
}

// AllocationText shows what was allocated, each after a space.
func AllocationText(a *state.Allocation) string {
	switch {
	case a.Volume != "":
		return " volume=" + a.Volume
	case a.Claim != nil:
		return " claim=" + a.Claim.Namespace + "/" + a.Claim.Name
	case a.Replicas != nil:
		return fmt.Sprintf(" size=%d", *a.Replicas)
	case len(a.ClusterIPs)+len(a.NodePorts) == 0:
		return " size=written"
	}
	var b strings.Builder
	fmt.Fprintf(&b, " ip=%s", strings.Join(a.ClusterIPs, ","))
	for _, port := range slices.Sorted(maps.Keys(a.NodePorts)) {
		fmt.Fprintf(&b, " %s=%d", port, a.NodePorts[port])
	}
	return b.String()
}

// digest is what matters in a plan of the objects that are derived.
func digest(o manifest.Object) string {
	switch o := o.(type) {
	case *appsv1.ReplicaSet:
		return fmt.Sprintf(" replicas=%d revision=%s", *o.Spec.Replicas, o.Annotations[revisionAnnotation])
	case *appsv1.ControllerRevision:
		return fmt.Sprintf(" revision=%d", o.Revision)
	case *discoveryv1.EndpointSlice:
		var b strings.Builder
		for _, p := range o.Ports {
			fmt.Fprintf(&b, " %s:%d", deref(p.Name), deref(p.Port))
		}
		b.WriteString(" [")
		for i := range o.Endpoints {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(endpointText(&o.Endpoints[i]))
		}
		return b.String() + "]"
	}
	return ""
}

func endpointText(e *discoveryv1.Endpoint) string {
	text := strings.Join(e.Addresses, ",")
	switch {
	case deref(e.Conditions.Terminating) && deref(e.Conditions.Ready):
		text += "(terminating,ready)"
	case deref(e.Conditions.Terminating):
		text += "(terminating)"
	case !deref(e.Conditions.Ready):
		text += "(not-ready)"
	}
	return text
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// StatusText shows a status in a few words, each after a space.
func StatusText(s state.Status) string {
	if text, ok := workloadText(s); ok {
		return text
	}
	switch s := s.(type) {
	case *corev1.PodStatus:
		text := " phase=" + string(s.Phase)
		if c := state.PodCondition(s, corev1.PodReady); c != nil {
			text += " ready=" + string(c.Status)
		}
		if c := state.PodCondition(s, corev1.PodScheduled); c != nil && c.Status != corev1.ConditionTrue {
			text += fmt.Sprintf(" %s=%q", c.Reason, c.Message)
		}
		return text
	case *corev1.NamespaceStatus:
		return " phase=" + string(s.Phase)
	case *corev1.PersistentVolumeClaimStatus:
		text := " phase=" + string(s.Phase)
		if size, ok := s.Capacity[corev1.ResourceStorage]; ok {
			text += " capacity=" + size.String()
		}
		if c := pendingIn(s); c != nil {
			text += fmt.Sprintf(" %s=%q", c.Reason, c.Message)
		}
		return text
	case *corev1.PersistentVolumeStatus:
		return strings.TrimSuffix(fmt.Sprintf(" phase=%s %s", s.Phase, s.Reason), " ")
	case *corev1.NodeStatus:
		for _, c := range s.Conditions {
			if c.Type == corev1.NodeReady {
				return " ready=" + string(c.Status)
			}
		}
		return " status"
	}
	return " status"
}
