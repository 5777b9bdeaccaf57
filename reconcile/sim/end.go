package sim

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// End is how the containers of a Pod end by themselves: all of them, each of its runs.
type End struct {
	After time.Duration // from the start of a run
	Code  int32         // the exit code
	// Reason is the Pod's when it failed, as of one that its node evicted; empty as of one that ended itself.
	Reason string
}

// Exit codes of containers that are ended.
const (
	exitTerminated = 143 // by SIGTERM
	exitKilled     = 137
)

// The delays before a container is started again: the first restart is immediate.
const (
	firstDelay   = 10 * time.Second
	longestDelay = 5 * time.Minute
)

// run takes the containers of a started Pod to where they are by now: running, ended for good, or waiting for
// another run as its restartPolicy has it. All of them go together.
func (s *stepper) run(p *state.Record, next *corev1.PodStatus, end *End) {
	spec := &p.Pod().Spec
	if len(next.ContainerStatuses) == 0 {
		for _, c := range spec.Containers {
			next.ContainerStatuses = append(next.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image})
		}
		s.begin(next, 0)
	}
	next.Phase = corev1.PodRunning
	for range 100 {
		first := &next.ContainerStatuses[0]
		if first.State.Running != nil {
			over := first.State.Running.StartedAt.Add(end.After)
			if first.State.Running.StartedAt.After(s.now) {
				over = s.now // the clock went back: how long it ran is not known
			}
			if over.After(s.now) {
				s.later(over)
				return
			}
			s.ended(next, end.Code, over)
			if !again(spec.RestartPolicy, end.Code) {
				next.Phase, next.Reason = corev1.PodFailed, end.Reason
				if end.Code == 0 {
					next.Phase, next.Reason = corev1.PodSucceeded, ""
				}
				return
			}
			first = &next.ContainerStatuses[0]
		}
		from := first.State.Terminated
		if from == nil {
			from = first.LastTerminationState.Terminated
		}
		if at := from.FinishedAt.Add(delay(first.RestartCount)); at.After(s.now) {
			s.waits(next)
			s.later(at)
			return
		}
		s.begin(next, first.RestartCount+1)
	}
}

func again(policy corev1.RestartPolicy, code int32) bool {
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0
}

func delay(restarts int32) time.Duration {
	if restarts == 0 {
		return 0
	}
	d := firstDelay
	for range restarts - 1 {
		d = min(2*d, longestDelay)
	}
	return d
}

// begin starts a run of every container.
func (s *stepper) begin(next *corev1.PodStatus, restarts int32) {
	s.each(next, func(c *corev1.ContainerStatus) {
		if t := c.State.Terminated; t != nil {
			c.LastTerminationState = corev1.ContainerState{Terminated: t}
		}
		c.RestartCount = restarts
		c.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: s.stamp}}
	})
}

// ended ends the run of every container that runs.
func (s *stepper) ended(next *corev1.PodStatus, code int32, at time.Time) {
	s.each(next, func(c *corev1.ContainerStatus) {
		if r := c.State.Running; r != nil {
			c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: code, Reason: reasonOf(code), StartedAt: r.StartedAt, FinishedAt: state.Stamp(at),
			}}
		}
	})
}

// waits shows that a container is started again later.
func (s *stepper) waits(next *corev1.PodStatus) {
	s.each(next, func(c *corev1.ContainerStatus) {
		if t := c.State.Terminated; t != nil {
			c.LastTerminationState = corev1.ContainerState{Terminated: t}
			c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		}
	})
}

func (s *stepper) each(next *corev1.PodStatus, f func(*corev1.ContainerStatus)) {
	next.ContainerStatuses = slices.Clone(next.ContainerStatuses)
	for i := range next.ContainerStatuses {
		f(&next.ContainerStatuses[i])
	}
}

// killed is a deleted Pod that ran until it was told to stop.
func (s *stepper) killed(p *state.Record, next *corev1.PodStatus) {
	if next.Phase != corev1.PodRunning && next.Phase != corev1.PodPending {
		return
	}
	code := int32(exitTerminated)
	if p.Deletion.Grace == 0 {
		code = exitKilled
	}
	s.ended(next, code, s.now)
	next.Phase = corev1.PodFailed
}

func reasonOf(code int32) string {
	if code == 0 {
		return "Completed"
	}
	return "Error"
}
