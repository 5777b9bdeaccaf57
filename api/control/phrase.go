package control

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// phrase is the state of an object in a few words.
func phrase(w *state.World, r *state.Record) string {
	switch {
	case r.Ref.Kind == "Pod":
		return podPhrase(r)
	case r.Claim() != nil:
		return claimPhrase(w, r)
	case r.Volume() != nil && len(manifest.NotYet(r.Object)) == 0:
		return volumePhrase(r)
	}
	h, reason := reconcile.Health(w, r.Ref)
	if reason == "" {
		return h.String()
	}
	return fmt.Sprintf("%s: %s", h, reason)
}

// podPhrase is the STATUS column of `kubectl get pods` with restarts.
func podPhrase(r *state.Record) string {
	s := r.PodStatus()
	text, restarts := podWord(r, s)
	if r.Node == "" && r.Deletion == nil {
		if c := state.PodCondition(s, corev1.PodScheduled); c != nil && c.Message != "" {
			text += ": " + c.Message
		}
	}
	switch restarts {
	case 0:
	case 1:
		text += ", 1 restart"
	default:
		text += fmt.Sprintf(", %d restarts", restarts)
	}
	return text
}

// podWord is what kubectl's columns STATUS and RESTARTS show.
func podWord(r *state.Record, s *corev1.PodStatus) (word string, restarts int32) {
	word = string(s.Phase)
	if s.Reason != "" {
		word = s.Reason
	}
	if c := state.PodCondition(s, corev1.PodScheduled); c != nil && c.Reason == corev1.PodReasonSchedulingGated {
		word = corev1.PodReasonSchedulingGated
	}
	init, all, ofSidecars := initWord(r.Pod(), s)
	if init != "" {
		word, restarts = init, all
	}
	if init == "" || state.PodIs(s, corev1.PodInitialized) {
		word, restarts = mainWord(s, word)
		restarts += ofSidecars
	}
	final := s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
	switch {
	case r.Deletion != nil && s.Reason == "NodeLost":
		word = "Unknown"
	case r.Deletion != nil && !final:
		word = "Terminating"
	}
	return word, restarts
}

// initWord is where a Pod is with its init containers, empty once they are through, with the restarts so far.
func initWord(pod *corev1.Pod, s *corev1.PodStatus) (word string, restarts, ofSidecars int32) {
	sidecars := map[string]bool{}
	count := len(s.InitContainerStatuses)
	if pod != nil {
		count = len(pod.Spec.InitContainers)
		for i := range pod.Spec.InitContainers {
			c := &pod.Spec.InitContainers[i]
			sidecars[c.Name] = manifest.Sidecar(c)
		}
	}
	for i := range s.InitContainerStatuses {
		c := &s.InitContainerStatuses[i]
		restarts += c.RestartCount
		if sidecars[c.Name] {
			ofSidecars += c.RestartCount
		}
		switch t, w := c.State.Terminated, c.State.Waiting; {
		case t != nil && t.ExitCode == 0, sidecars[c.Name] && c.Started != nil && *c.Started:
			continue
		case t != nil:
			return "Init:" + ended(t), restarts, ofSidecars
		case w != nil && w.Reason != "" && w.Reason != "PodInitializing":
			return "Init:" + w.Reason, restarts, ofSidecars
		}
		return fmt.Sprintf("Init:%d/%d", i, count), restarts, ofSidecars
	}
	return "", restarts, ofSidecars
}

// mainWord is how a Pod is that is past its init containers: what the first of its containers says that does
// not run.
func mainWord(s *corev1.PodStatus, word string) (string, int32) {
	restarts, running, failed := int32(0), false, ""
	for i := len(s.ContainerStatuses) - 1; i >= 0; i-- {
		c := &s.ContainerStatuses[i]
		restarts += c.RestartCount
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			word = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			word = ended(c.State.Terminated)
			if c.State.Terminated.ExitCode != 0 {
				failed = word
			}
		case c.Ready && c.State.Running != nil:
			running = true
		}
	}
	switch {
	case word != "Completed":
	case running && state.PodIs(s, corev1.PodReady):
		word = "Running"
	case failed != "":
		word = failed
	case running:
		word = "NotReady"
	}
	return word, restarts
}

// ended is how a container ended, in a word.
func ended(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

func containerPhrase(c *corev1.ContainerStatus) string {
	switch {
	case c.State.Waiting != nil:
		return c.State.Waiting.Reason
	case c.State.Terminated != nil:
		return fmt.Sprintf("%s, exit code %d", c.State.Terminated.Reason, c.State.Terminated.ExitCode)
	case c.State.Running != nil && c.Ready:
		return "Running, ready"
	case c.State.Running != nil:
		return "Running, not ready"
	}
	return "Waiting"
}
