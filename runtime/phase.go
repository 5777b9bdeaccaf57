package runtime

import (
	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// What a run says that was ended so that all containers of its Pod begin anew.
const (
	restartingAll     = "RestartingAllContainers"
	restartingAllText = "The container is removed because RestartAllContainers in place"
)

// phase is the Pod's, by its containers' statuses; one that is final stays. It becomes final only when
// nothing of the Pod runs any more.
func phase(d *Desired, o *Observed, s, last *corev1.PodStatus) corev1.PodPhase {
	if last != nil && podutil.IsPodPhaseTerminal(last.Phase) {
		return last.Phase
	}
	busy := o.anyRunning()
	if o.Failed != nil && !busy {
		return corev1.PodFailed
	}
	terminal := (d.Gone || d.Deletion != nil) && !busy
	now := byContainers(d.Pod, s, terminal, o.begun(&d.Pod.Spec))
	if (busy || o.renews() && !terminal) && podutil.IsPodPhaseTerminal(now) {
		return corev1.PodRunning
	}
	return now
}

// renews says that a container was ended so that another run of it follows.
func (o *Observed) renews() bool {
	for _, c := range o.Containers {
		if c.Anew && c.Run.Exited() {
			return true
		}
	}
	return false
}

// tally is how the containers of a Pod are.
type tally struct {
	pendingInit, pendingSidecars, failedForGood          int
	running, waiting, stopped, stoppedForGood, succeeded int
}

// byContainers follows upstream's getPhase. terminal says that nothing will be started any more, begun that
// a container proper was started.
func byContainers(pod *corev1.Pod, s *corev1.PodStatus, terminal, begun bool) corev1.PodPhase {
	var t tally
	for i := range s.InitContainerStatuses {
		if c := &pod.Spec.InitContainers[i]; sidecar(c) {
			t.sidecar(&s.InitContainerStatuses[i])
		} else {
			t.init(pod, c, &s.InitContainerStatuses[i])
		}
	}
	for i := range s.ContainerStatuses {
		t.main(pod, &pod.Spec.Containers[i], &s.ContainerStatuses[i])
	}
	switch {
	case t.failedForGood > 0:
		return corev1.PodFailed
	case t.pendingInit > 0, t.pendingSidecars > 0 && !begun, t.waiting > 0:
		return corev1.PodPending
	case t.running > 0:
		return corev1.PodRunning
	case t.stopped == 0:
		return corev1.PodPending
	case !terminal && t.stopped != t.stoppedForGood:
		return corev1.PodRunning // some are on their way to run again
	case t.stopped == t.succeeded:
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

// lastEnd is how a container ended that does not run, nil if it never ran.
func lastEnd(s *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if s.State.Terminated != nil {
		return s.State.Terminated
	}
	return s.LastTerminationState.Terminated
}

// forGood says that a container which ended is not started again.
func forGood(pod *corev1.Pod, c *corev1.Container, end *corev1.ContainerStateTerminated) bool {
	return !restarts(pod, c, int(end.ExitCode)) && end.Reason != restartingAll
}

func (t *tally) init(pod *corev1.Pod, c *corev1.Container, s *corev1.ContainerStatus) {
	end := lastEnd(s)
	switch {
	case s.State.Running != nil, end == nil:
		t.pendingInit++
	case end.ExitCode != 0 && forGood(pod, c, end):
		t.failedForGood++
	}
}

func (t *tally) sidecar(s *corev1.ContainerStatus) {
	switch {
	case s.State.Running != nil:
		if s.Started == nil || !*s.Started {
			t.pendingSidecars++
		}
		t.running++
	case lastEnd(s) == nil:
		t.pendingSidecars++
		t.waiting++
	}
}

func (t *tally) main(pod *corev1.Pod, c *corev1.Container, s *corev1.ContainerStatus) {
	end := lastEnd(s)
	switch {
	case s.State.Running != nil:
		t.running++
	case end == nil:
		t.waiting++
	default:
		t.stopped++
		if forGood(pod, c, end) {
			t.stoppedForGood++
		}
		if s.State.Terminated != nil && end.ExitCode == 0 {
			t.succeeded++
		}
	}
}
