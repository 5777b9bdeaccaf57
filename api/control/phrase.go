package control

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"writ/reconcile"
	"writ/state"
)

// phrase is the state of an object in a few words.
func phrase(w *state.World, r *state.Record) string {
	if r.Ref.Kind == "Pod" {
		return podPhrase(r)
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
	text := string(s.Phase)
	if s.Reason != "" {
		text = s.Reason
	}
	restarts := int32(0)
	for i := range s.ContainerStatuses {
		c := &s.ContainerStatuses[i]
		restarts += c.RestartCount
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			text = c.State.Waiting.Reason
		} else if c.State.Terminated != nil && c.State.Terminated.Reason != "" {
			text = c.State.Terminated.Reason
		}
	}
	if r.Deletion != nil {
		text = "Terminating"
	}
	if r.Node == "" && r.Deletion == nil {
		if c := state.PodCondition(s, corev1.PodScheduled); c != nil && c.Message != "" {
			text += ": " + c.Message
		}
	}
	if restarts > 0 {
		text += fmt.Sprintf(", %d restarts", restarts)
	}
	return text
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
