package runtime

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"

	"writ/state"
)

// conditions are those of others, then those that kubelet states, in its order.
func conditions(d *Desired, o *Observed, s, last *corev1.PodStatus, now time.Time) []corev1.PodCondition {
	var list []corev1.PodCondition
	if last != nil {
		for _, c := range last.Conditions {
			if !ownCondition(c.Type) {
				list = append(list, c)
			}
		}
	}
	add := func(kind corev1.PodConditionType, ok bool, reason, message string) {
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message, ObservedGeneration: d.Pod.Generation}
		if ok {
			c.Status = corev1.ConditionTrue
		}
		c.LastTransitionTime = transition(last, c, now)
		list = append(list, c)
	}
	over := o.Left || o.Cleaned || podutil.IsPodPhaseTerminal(s.Phase) // a kubelet has no sandbox for such a Pod
	add(corev1.PodReadyToStartContainers, o.Sandbox.Done && !over, "", "")
	ok, why, text := initialized(d, s, last)
	add(corev1.PodInitialized, ok, why, text)
	ready, why, text := containersReady(d, o, s)
	if gates, gateText := gatesPass(d.Pod, list); ready && !gates {
		add(corev1.PodReady, false, "ReadinessGatesNotReady", gateText)
	} else {
		add(corev1.PodReady, ready, why, text)
	}
	add(corev1.ContainersReady, ready, why, text)
	add(corev1.PodScheduled, true, "", "")
	if podutil.AllContainersCouldRestart(&d.Pod.Spec) {
		switch {
		case s.Phase == corev1.PodSucceeded:
			add(corev1.AllContainersRestarting, false, "PodCompleted", "")
		case s.Phase == corev1.PodFailed:
			add(corev1.AllContainersRestarting, false, "PodFailed", "")
		case restartsAll(d.Pod, o):
			add(corev1.AllContainersRestarting, true, "RestartAllContainersStarted", "container exited with restart policy rule")
		default:
			add(corev1.AllContainersRestarting, false, "", "")
		}
	}
	list = append(list, o.Resize.conditions(last, now)...)
	if o.Cleaned {
		add(state.PodStopped, true, "", "")
	}
	return list
}

// ownCondition says that this node states a condition of the type itself; all others are somebody else's and stay.
func ownCondition(kind corev1.PodConditionType) bool {
	switch kind {
	case corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
		corev1.AllContainersRestarting, corev1.PodResizePending, corev1.PodResizeInProgress, state.PodStopped:
		return true
	}
	return false
}

func transition(last *corev1.PodStatus, c corev1.PodCondition, now time.Time) metav1.Time {
	if last != nil {
		if old := state.PodCondition(last, c.Type); old != nil && old.Status == c.Status && !old.LastTransitionTime.IsZero() {
			return old.LastTransitionTime
		}
	}
	return metav1.NewTime(now).Rfc3339Copy()
}

func initialized(d *Desired, s, last *corev1.PodStatus) (bool, string, string) {
	var incomplete []string
	for i := range s.InitContainerStatuses {
		c := &s.InitContainerStatuses[i]
		if sidecar(&d.Pod.Spec.InitContainers[i]) && (c.Started == nil || !*c.Started) ||
			!sidecar(&d.Pod.Spec.InitContainers[i]) && !c.Ready {
			incomplete = append(incomplete, c.Name)
		}
	}
	begun := slices.ContainsFunc(s.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Running != nil || c.State.Terminated != nil || c.LastTerminationState.Terminated != nil
	})
	switch {
	case s.Phase == corev1.PodSucceeded:
		return true, "PodCompleted", ""
	case begun, len(incomplete) == 0, last != nil && state.PodIs(last, corev1.PodInitialized): // it is for good
		return true, "", ""
	}
	return false, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: %s", incomplete)
}

func containersReady(d *Desired, o *Observed, s *corev1.PodStatus) (bool, string, string) {
	switch {
	case s.Phase == corev1.PodSucceeded:
		return false, "PodCompleted", ""
	case s.Phase == corev1.PodFailed, o.Failed != nil:
		return false, "PodFailed", "" // also while what was ended still runs
	}
	var unready []string
	for i := range s.InitContainerStatuses {
		if sidecar(&d.Pod.Spec.InitContainers[i]) && !s.InitContainerStatuses[i].Ready {
			unready = append(unready, s.InitContainerStatuses[i].Name)
		}
	}
	for i := range s.ContainerStatuses {
		if !s.ContainerStatuses[i].Ready {
			unready = append(unready, s.ContainerStatuses[i].Name)
		}
	}
	if len(unready) > 0 {
		return false, "ContainersNotReady", fmt.Sprintf("containers with unready status: %s", unready)
	}
	return true, "", ""
}

// gatesPass says whether every readiness gate is a true condition.
func gatesPass(pod *corev1.Pod, conditions []corev1.PodCondition) (bool, string) {
	var texts []string
	for _, g := range pod.Spec.ReadinessGates {
		i := slices.IndexFunc(conditions, func(c corev1.PodCondition) bool { return c.Type == g.ConditionType })
		switch {
		case i < 0:
			texts = append(texts, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", g.ConditionType))
		case conditions[i].Status != corev1.ConditionTrue:
			texts = append(texts, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", g.ConditionType, conditions[i].Status))
		}
	}
	return len(texts) == 0, strings.Join(texts, ", ")
}
