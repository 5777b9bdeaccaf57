package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// backoffAnnotation is computed for a Job whose Pods fail: how many since one succeeded, and when the last of them
// did. Upstream keeps it in memory, and forgets it over a restart.
const backoffAnnotation = "writ.dev/pod-failures"

// The delays before a Pod is made in the place of one that failed, upstream's: they double up to the longest.
const (
	firstPodDelay   = 10 * time.Second
	longestPodDelay = 10 * time.Minute
	// jumped is how far in the future a failure is one that the clock left behind.
	jumped = time.Minute
)

// setback is what a Job suffered since a Pod of it succeeded.
type setback struct {
	failures int32
	last     time.Time
}

func parseSetback(text string) (s setback) {
	var at string
	if n, _ := fmt.Sscan(text, &s.failures, &at); n == 2 {
		s.last, _ = time.Parse(time.RFC3339, at)
	}
	return s
}

func (s setback) String() string {
	if s.failures == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", s.failures, s.last.UTC().Format(time.RFC3339))
}

// after is the setback once more Pods have ended. Those that failed before the last that succeeded do not count.
func (s setback) after(succeeded, failed []*jobPod) setback {
	if len(succeeded) > 0 {
		s = setback{}
		last := slices.MaxFunc(succeeded, byFinish).finished()
		failed = slices.DeleteFunc(slices.Clone(failed), func(p *jobPod) bool { return !p.finished().After(last) })
	}
	if len(failed) > 0 {
		s.failures += int32(len(failed))
		s.last = slices.MaxFunc(failed, byFinish).finished()
	}
	return s
}

// until is when the next Pod may be made; zero: now.
func (s setback) until(now time.Time) time.Time {
	if s.failures == 0 || s.last.After(now.Add(jumped)) {
		return time.Time{}
	}
	delay := firstPodDelay
	for i := int32(1); i < s.failures && delay < longestPodDelay; i++ {
		delay = min(2*delay, longestPodDelay)
	}
	if at := s.last.Add(delay); at.After(now) {
		return at
	}
	return time.Time{}
}

func byFinish(a, b *jobPod) int { return a.finished().Compare(b.finished()) }

// finished is when a Pod ended: the last of its containers, or else when it was not ready any more, or was to go.
func (p *jobPod) finished() time.Time {
	s := p.r.PodStatus()
	if at := p.lastExit(s); !at.IsZero() {
		return at
	}
	if c := state.PodCondition(s, corev1.PodReady); c != nil && c.Status == corev1.ConditionFalse && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	if p.r.Deletion != nil {
		return p.r.Deletion.At
	}
	return p.r.Created
}

// lastExit is when the last container ended, zero if one has not.
func (p *jobPod) lastExit(s *corev1.PodStatus) (at time.Time) {
	for i := range s.ContainerStatuses {
		t := s.ContainerStatuses[i].State.Terminated
		if t == nil || t.FinishedAt.IsZero() {
			return time.Time{}
		}
		at = later(at, t.FinishedAt.Time)
	}
	for i := range s.InitContainerStatuses {
		c := &s.InitContainerStatuses[i]
		if t := c.State.Terminated; t != nil && sidecarOf(p.r.Pod(), c.Name) {
			at = later(at, t.FinishedAt.Time)
		}
	}
	return at
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func sidecarOf(pod *corev1.Pod, name string) bool {
	return pod != nil && slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
}

// failures of the index of a Pod before it, those that count towards backoffLimitPerIndex and those that do not.
func (p *jobPod) failures() (counted, ignored int32) {
	a := p.r.Object.GetAnnotations()
	return natural(a[batchv1.JobIndexFailureCountAnnotation]), natural(a[batchv1.JobIndexIgnoredFailureCountAnnotation])
}

func natural(text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int32(n)
}

// retry is when the index of a failed Pod may be tried again; zero: now.
func (p *jobPod) retry(now time.Time) time.Time {
	counted, ignored := p.failures()
	return setback{counted + ignored + 1, p.finished()}.until(now)
}
