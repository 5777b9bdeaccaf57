package runtime

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// restarts says whether a container that ended with a code is started again: its own rules first, then its
// own policy, then the Pod's. An init container that did its work is not.
func restarts(pod *corev1.Pod, c *corev1.Container, code int) bool {
	if code == 0 && initContainer(pod, c) && !sidecar(c) {
		return false
	}
	return podutil.ContainerShouldRestart(*c, pod.Spec, int32(code))
}

// again is restarts of a run that ended.
func again(pod *corev1.Pod, c *corev1.Container, r *Run) bool {
	return r.Reason == restartingAll || restarts(pod, c, r.ExitCode)
}

// restartsKilled is restarts before there is an exit code: rules do not count.
func restartsKilled(pod *corev1.Pod, c *corev1.Container) bool {
	if c.RestartPolicy != nil {
		return *c.RestartPolicy != corev1.ContainerRestartPolicyNever
	}
	return pod.Spec.RestartPolicy != corev1.RestartPolicyNever
}

// resets says that the end of a run has every container of its Pod begin anew (KEP-5532).
func resets(c *corev1.Container, r *Run) bool {
	rule, ok := podutil.FindMatchingContainerRestartRule(*c, int32(r.ExitCode))
	return ok && rule.Action == corev1.ContainerRestartRuleActionRestartAllContainers
}

// restartsAll says that a container ended in a way that has all begin anew.
func restartsAll(pod *corev1.Pod, o *Observed) bool {
	for c := range containers(&pod.Spec) {
		if oc := o.Containers[c.Name]; oc != nil && oc.Run.Exited() && !oc.Run.Past && resets(c, oc.Run) {
			return true
		}
	}
	return false
}

// finished says that a Pod will never run again: all containers ended and none is
// restarted, or an init container failed for good.
func finished(pod *corev1.Pod, o *Observed) bool {
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		oc := o.Containers[c.Name]
		if !sidecar(c) && oc != nil && oc.Run.Exited() && oc.Run.ExitCode != 0 && !oc.Anew && !again(pod, c, oc.Run) {
			return true
		}
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		oc := o.Containers[c.Name]
		if oc == nil || !oc.Run.Exited() || oc.Anew || again(pod, c, oc.Run) {
			return false
		}
	}
	return true
}

// containers are the Pod's, those of init first.
func containers(spec *corev1.PodSpec) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for i := range spec.InitContainers {
			if !yield(&spec.InitContainers[i]) {
				return
			}
		}
		for i := range spec.Containers {
			if !yield(&spec.Containers[i]) {
				return
			}
		}
	}
}

// initContainer says that a container is among those of init.
func initContainer(pod *corev1.Pod, c *corev1.Container) bool {
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == c.Name {
			return true
		}
	}
	return false
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
