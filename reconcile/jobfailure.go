package reconcile

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// ruling is what the podFailurePolicy of a Job says about a Pod that failed.
type ruling struct {
	action  batchv1.PodFailurePolicyAction // empty if no rule is about it
	message string                         // of FailJob
}

// counts says that the failure counts towards the limits.
func (v ruling) counts() bool { return v.action != batchv1.PodFailurePolicyActionIgnore }

// rule asks the podFailurePolicy about a Pod: the first rule that is about it decides.
func (x *job) rule(p *jobPod) ruling {
	policy := x.spec.PodFailurePolicy
	if policy == nil {
		return ruling{}
	}
	status := p.shown()
	for i := range policy.Rules {
		rule := &policy.Rules[i]
		what := ""
		switch {
		case rule.OnExitCodes != nil:
			if c := exitedAs(status, rule.OnExitCodes); c != nil {
				what = fmt.Sprintf("Container %s for pod %s/%s failed with exit code %d", c.Name, p.r.Ref.Namespace, p.r.Ref.Name, c.State.Terminated.ExitCode)
			}
		case rule.OnPodConditions != nil:
			if c := conditioned(status, rule.OnPodConditions); c != nil {
				what = fmt.Sprintf("Pod %s/%s has condition %s", p.r.Ref.Namespace, p.r.Ref.Name, c.Type)
			}
		}
		if what != "" {
			return ruling{rule.Action, fmt.Sprintf("%s matching %s rule at index %d", what, rule.Action, i)}
		}
	}
	return ruling{}
}

// shown is the status of a Pod with what follows from its deletion.
func (p *jobPod) shown() *corev1.PodStatus {
	if p.r.Deletion == nil {
		return p.r.PodStatus()
	}
	if pod, ok := p.r.Full().(*corev1.Pod); ok {
		return &pod.Status
	}
	return p.r.PodStatus()
}

// exitedAs is the first container whose exit code a rule is about.
func exitedAs(s *corev1.PodStatus, rule *batchv1.PodFailurePolicyOnExitCodesRequirement) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{s.ContainerStatuses, s.InitContainerStatuses} {
		for i := range list {
			t := list[i].State.Terminated
			if t == nil || t.ExitCode == 0 || rule.ContainerName != nil && *rule.ContainerName != list[i].Name {
				continue
			}
			in := slices.Contains(rule.Values, t.ExitCode)
			if in && rule.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn || !in && rule.Operator == batchv1.PodFailurePolicyOnExitCodesOpNotIn {
				return &list[i]
			}
		}
	}
	return nil
}

func conditioned(s *corev1.PodStatus, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) *corev1.PodCondition {
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if slices.ContainsFunc(patterns, func(p batchv1.PodFailurePolicyOnPodConditionsPattern) bool {
			return p.Type == c.Type && p.Status == c.Status
		}) {
			return c
		}
	}
	return nil
}

// successRule is which rule of the successPolicy holds, empty if none does.
func (x *job) successRule() string {
	policy := x.spec.SuccessPolicy
	if policy == nil || len(x.succeededIndexes) == 0 {
		return ""
	}
	for i, rule := range policy.Rules {
		have := x.succeededIndexes.count()
		all := false
		if rule.SucceededIndexes != nil {
			asked := parseIndexes(*rule.SucceededIndexes, x.completions())
			if len(asked) == 0 {
				continue
			}
			have = x.succeededIndexes.common(asked)
			all = have == asked.count()
		}
		if all || rule.SucceededCount != nil && have >= int(*rule.SucceededCount) {
			return fmt.Sprintf("Matched rules at index %d", i)
		}
	}
	return ""
}
