package admit

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/kubernetes/pkg/apis/core"
	upstream "k8s.io/kubernetes/pkg/util/tolerations"

	"writ/manifest"
	"writ/state"
)

// runtimeClass gives a Pod what its RuntimeClass says: what it takes on top, and on which nodes it can run.
func runtimeClass(w *state.World, pod *corev1.Pod) error {
	class := &nodev1.RuntimeClass{}
	if name := pod.Spec.RuntimeClassName; name != nil {
		r := w.Get(manifest.Ref{Group: "node.k8s.io", Kind: "RuntimeClass", Name: *name})
		found := false
		if r != nil {
			class, found = r.Object.(*nodev1.RuntimeClass)
		}
		if !found {
			return fmt.Errorf("pods %q is forbidden: pod rejected: RuntimeClass %q not found", shown(pod), *name)
		}
	}
	switch {
	case class.Overhead == nil && pod.Spec.Overhead != nil:
		return fmt.Errorf("pods %q is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead", shown(pod))
	case class.Overhead == nil:
	case len(pod.Spec.Overhead) > 0 && !equality.Semantic.DeepEqual(class.Overhead.PodFixed, pod.Spec.Overhead):
		return fmt.Errorf("pods %q is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead", shown(pod))
	default:
		pod.Spec.Overhead = class.Overhead.PodFixed.DeepCopy()
	}
	if class.Scheduling == nil {
		return nil
	}
	for key, want := range class.Scheduling.NodeSelector {
		if got, ok := pod.Spec.NodeSelector[key]; ok && got != want {
			return fmt.Errorf("pods %q is forbidden: conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", shown(pod), key, want, key, got)
		}
		if pod.Spec.NodeSelector == nil {
			pod.Spec.NodeSelector = map[string]string{}
		}
		pod.Spec.NodeSelector[key] = want
	}
	pod.Spec.Tolerations = merge(pod.Spec.Tolerations, class.Scheduling.Tolerations)
	return nil
}

// keepRuntimeClass leaves to a declared Pod what its class added when the running one was admitted: what that has
// and was not declared before. While it is not known what was, nothing seems to be taken away.
func keepRuntimeClass(old, before, now *corev1.PodSpec) {
	if now.RuntimeClassName == nil || old.RuntimeClassName == nil || *now.RuntimeClassName != *old.RuntimeClassName {
		return
	}
	if len(now.Overhead) == 0 {
		now.Overhead = old.Overhead
	}
	labels := map[string]string{}
	for key, value := range old.NodeSelector {
		if _, was := before.NodeSelector[key]; !was {
			labels[key] = value
		}
	}
	if maps.Copy(labels, now.NodeSelector); len(labels) > 0 {
		now.NodeSelector = labels
	}
	kept := slices.DeleteFunc(slices.Clone(old.Tolerations), func(t corev1.Toleration) bool {
		return lists(before.Tolerations, t) && !lists(now.Tolerations, t)
	})
	now.Tolerations = slices.Concat(kept, slices.DeleteFunc(slices.Clone(now.Tolerations), covered(kept)))
}

func lists(all []corev1.Toleration, t corev1.Toleration) bool {
	return slices.ContainsFunc(all, func(o corev1.Toleration) bool { return equality.Semantic.DeepEqual(o, t) })
}

// covered says of a toleration that the list tolerates all that it does.
func covered(by []corev1.Toleration) func(corev1.Toleration) bool {
	all := merge(by, by)
	return func(t corev1.Toleration) bool {
		return equality.Semantic.DeepEqual(all, merge(by, []corev1.Toleration{t}))
	}
}

// merge is upstream's: of two tolerations of which one tolerates all that the other does, the wider stays.
func merge(first, second []corev1.Toleration) []corev1.Toleration {
	if len(second) == 0 {
		return first
	}
	internal := func(list []corev1.Toleration) []core.Toleration {
		out := make([]core.Toleration, 0, len(list))
		for _, t := range list {
			out = append(out, core.Toleration{Key: t.Key, Operator: core.TolerationOperator(t.Operator), Value: t.Value,
				Effect: core.TaintEffect(t.Effect), TolerationSeconds: t.TolerationSeconds})
		}
		return out
	}
	var out []corev1.Toleration
	for _, t := range upstream.MergeTolerations(internal(first), internal(second)) {
		out = append(out, corev1.Toleration{Key: t.Key, Operator: corev1.TolerationOperator(t.Operator), Value: t.Value,
			Effect: corev1.TaintEffect(t.Effect), TolerationSeconds: t.TolerationSeconds})
	}
	return out
}
