package admit

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"writ/manifest"
	"writ/state"
)

// awaySeconds is how long a Pod stays on a node that is not ready or cannot be reached.
const awaySeconds = 300

// Pod is a copy of a Pod as it is after admission. Errors are upstream's refusals, for people.
func Pod(w *state.World, pod *corev1.Pod) (*corev1.Pod, error) {
	admitted := pod.DeepCopy()
	if err := serviceAccount(w, admitted); err != nil {
		return nil, err
	}
	if err := priority(w, admitted); err != nil {
		return nil, err
	}
	tolerations(admitted)
	if err := runtimeClass(w, admitted); err != nil {
		return nil, err
	}
	return manifest.Default(admitted).(*corev1.Pod), nil
}

// Keep is a declared Pod as it is compared with, or put over, the admitted one that runs: what
// admission added stays, so that a later change of an account or class changes no running Pod. before is
// what was declared when it was admitted or last changed, nil if that is not known.
func Keep(admitted, before, declared *corev1.Pod) *corev1.Pod {
	pod := declared.DeepCopy()
	old, now := &admitted.Spec, &pod.Spec
	if now.ServiceAccountName == "" {
		now.ServiceAccountName, now.DeprecatedServiceAccount = old.ServiceAccountName, old.DeprecatedServiceAccount
	}
	if len(now.ImagePullSecrets) == 0 {
		now.ImagePullSecrets = old.ImagePullSecrets
	}
	if now.PriorityClassName == "" || now.PriorityClassName == old.PriorityClassName {
		now.PriorityClassName, now.Priority, now.PreemptionPolicy = old.PriorityClassName, old.Priority, old.PreemptionPolicy
	}
	tolerations(pod)
	known := &corev1.Pod{}
	if before != nil {
		known = before.DeepCopy()
		tolerations(known)
	}
	keepRuntimeClass(old, &known.Spec, now)
	keepToken(old, now)
	return manifest.Default(pod).(*corev1.Pod)
}

func serviceAccount(w *state.World, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = "default"
	}
	name := pod.Spec.ServiceAccountName
	pod.Spec.DeprecatedServiceAccount = name
	r := w.Get(manifest.ServiceAccountRef(pod.Namespace, name))
	if r == nil {
		return fmt.Errorf("pods %q is forbidden: error looking up service account %s/%s: serviceaccount %q not found", shown(pod), pod.Namespace, name, name)
	}
	account, ok := r.Object.(*corev1.ServiceAccount)
	if ok && len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	mountToken(account, pod)
	return nil
}

func shown(pod *corev1.Pod) string {
	if pod.Name == "" {
		return pod.GenerateName
	}
	return pod.Name
}

func tolerations(pod *corev1.Pod) {
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		if slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
			return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		}) {
			continue
		}
		seconds := int64(awaySeconds)
		pod.Spec.Tolerations = append(slices.Clip(pod.Spec.Tolerations), corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		})
	}
}

// priority resolves the class of a Pod, the global default where it names none.
func priority(w *state.World, pod *corev1.Pod) error {
	name := pod.Spec.PriorityClassName
	value, policy := int32(0), corev1.PreemptLowerPriority
	switch {
	case name == "":
		if c := globalDefault(w); c != nil {
			pod.Spec.PriorityClassName, value = c.Name, c.Value
			policy = policyOf(c)
		}
	case name == "system-node-critical":
		value = 2000001000
	case name == "system-cluster-critical":
		value = 2000000000
	default:
		r := w.Get(manifest.Ref{Group: "scheduling.k8s.io", Kind: "PriorityClass", Name: name})
		if r == nil {
			return fmt.Errorf("pods %q is forbidden: no PriorityClass with name %s was found", shown(pod), name)
		}
		if c, ok := r.Object.(*schedulingv1.PriorityClass); ok {
			value, policy = c.Value, policyOf(c)
		}
	}
	pod.Spec.Priority, pod.Spec.PreemptionPolicy = &value, &policy
	return nil
}

func policyOf(c *schedulingv1.PriorityClass) corev1.PreemptionPolicy {
	if c.PreemptionPolicy == nil {
		return corev1.PreemptLowerPriority
	}
	return *c.PreemptionPolicy
}

// globalDefault is the class marked so with the lowest value, as upstream takes it.
func globalDefault(w *state.World) (lowest *schedulingv1.PriorityClass) {
	for r := range w.List("scheduling.k8s.io", "PriorityClass", "") {
		if c, ok := r.Object.(*schedulingv1.PriorityClass); ok && c.GlobalDefault && (lowest == nil || c.Value < lowest.Value) {
			lowest = c
		}
	}
	return lowest
}
