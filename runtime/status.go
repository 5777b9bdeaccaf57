package runtime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"

	"writ/runtime/shim"
	"writ/state"
)

// Status is the Pod's as kubelet would tell it. last is what was told before, for
// the times of transitions; nil if nothing was.
func Status(d *Desired, o *Observed, last *corev1.PodStatus, hostIP string, now time.Time) *corev1.PodStatus {
	s := &corev1.PodStatus{
		ObservedGeneration: d.Pod.Generation, HostIP: hostIP, HostIPs: []corev1.HostIP{{IP: hostIP}},
		QOSClass: qos.ComputePodQOS(d.Pod), NominatedNodeName: "",
	}
	if last != nil {
		s.StartTime = last.StartTime
		s.PodIP, s.PodIPs = last.PodIP, last.PodIPs
	}
	if s.StartTime == nil {
		at := metav1.NewTime(now).Rfc3339Copy()
		s.StartTime = &at
	}
	if o.Sandbox.Done && o.IP.IsValid() {
		s.PodIP = o.IP.String()
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	}
	initialized := initDone(d.Pod, o)
	for i := range d.Pod.Spec.InitContainers {
		s.InitContainerStatuses = append(s.InitContainerStatuses, containerStatus(d, o, &d.Pod.Spec.InitContainers[i], last, true, now, initialized))
	}
	for i := range d.Pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, containerStatus(d, o, &d.Pod.Spec.Containers[i], last, false, now, initialized))
	}
	s.Phase = phase(d, o, last)
	if o.Failed != nil {
		s.Reason, s.Message = o.Failed.Reason, o.Failed.Message
	}
	s.Conditions = conditions(d, o, s, last, now)
	return s
}

// initDone says that the init containers are through.
func initDone(pod *corev1.Pod, o *Observed) bool {
	if o.begun(&pod.Spec) {
		return true
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		oc := o.Containers[c.Name]
		if oc == nil || sidecar(c) && !started(oc) || !sidecar(c) && !(oc.Run.Exited() && oc.Run.ExitCode == 0) {
			return false
		}
	}
	return true
}

// phase follows upstream's getPhase; a phase that is final stays.
func phase(d *Desired, o *Observed, last *corev1.PodStatus) corev1.PodPhase {
	if o.Failed != nil {
		return corev1.PodFailed
	}
	if last != nil && (last.Phase == corev1.PodFailed || last.Phase == corev1.PodSucceeded) {
		return last.Phase
	}
	gone := d.Gone || d.Deletion != nil
	spec := &d.Pod.Spec
	if !initDone(d.Pod, o) {
		if finished(d.Pod, o) {
			return corev1.PodFailed
		}
		return corev1.PodPending
	}
	var waiting, running, succeeded, failed int
	for i := range spec.Containers {
		oc := o.Containers[spec.Containers[i].Name]
		switch {
		case oc == nil || oc.Run == nil || oc.Run.Status == shim.StatusCreating:
			if oc != nil && oc.Attempts > 0 {
				running++ // it ran before and will again
			} else {
				waiting++
			}
		case oc.Run.Running():
			running++
		case restarts(spec.RestartPolicy, oc.Run.ExitCode) && !(gone && !o.anyRunning()):
			running++
		case oc.Run.ExitCode == 0:
			succeeded++
		default:
			failed++
		}
	}
	switch {
	case waiting > 0:
		return corev1.PodPending
	case running > 0:
		return corev1.PodRunning
	case failed > 0:
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

func containerStatus(d *Desired, o *Observed, c *corev1.Container, last *corev1.PodStatus, init bool, now time.Time, initialized bool) corev1.ContainerStatus {
	oc := o.Containers[c.Name]
	if oc == nil {
		oc = &Observation{}
	}
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image}
	no := false
	s.Started = &no
	if old := before(last, c.Name, init); old != nil && oc.Run == nil {
		lost(&s, old, oc)
	}
	if r := oc.Run; r != nil {
		s.RestartCount = int32(r.Attempt)
		s.ContainerID = statusID(r.ID)
		s.ImageID = r.Labels[labelStatus]
		if r.Labels[labelImage] != "" {
			s.Image = r.Labels[labelImage]
		}
	}
	if oc.Last != nil {
		s.LastTerminationState = corev1.ContainerState{Terminated: terminated(oc.Last)}
	}
	switch r := oc.Run; {
	case r.Running():
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(r.StartedAt).Rfc3339Copy()}
		up := started(oc)
		s.Started = &up
		s.Ready = oc.Ready && up
		s.Resources = c.Resources.DeepCopy()
		s.AllocatedResources = c.Resources.Requests.DeepCopy()
	case r.Exited():
		exited(d, o, c, oc, &s, init, now)
	default:
		s.State.Waiting = waiting(oc, init, initialized, now)
	}
	return s
}

func before(last *corev1.PodStatus, name string, init bool) *corev1.ContainerStatus {
	if last == nil {
		return nil
	}
	list := last.ContainerStatuses
	if init {
		list = last.InitContainerStatuses
	}
	if i := slices.IndexFunc(list, func(s corev1.ContainerStatus) bool { return s.Name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

// lost is a container that ran before and of which nothing is found: a reboot.
func lost(s, old *corev1.ContainerStatus, oc *Observation) {
	s.RestartCount, s.LastTerminationState, s.ImageID = old.RestartCount, old.LastTerminationState, old.ImageID
	if oc.Attempts == 0 || old.State.Running == nil && old.State.Terminated == nil {
		return
	}
	s.LastTerminationState = corev1.ContainerState{Terminated: old.State.Terminated}
	if old.State.Running != nil {
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: shim.ReasonUnknown, ContainerID: old.ContainerID, StartedAt: old.State.Running.StartedAt,
			Message: "The container could not be located when the pod was restarted",
		}
	}
}

// exited is a run that ended: final, or waiting for the next.
func exited(d *Desired, o *Observed, c *corev1.Container, oc *Observation, s *corev1.ContainerStatus, init bool, now time.Time) {
	policy := d.Pod.Spec.RestartPolicy
	switch {
	case sidecar(c):
		policy = corev1.RestartPolicyAlways
	case init && policy == corev1.RestartPolicyAlways:
		policy = corev1.RestartPolicyOnFailure
	}
	ended := terminated(oc.Run)
	final := d.Gone || d.Deletion != nil || o.Failed != nil || finished(d.Pod, o)
	if init && oc.Run.ExitCode == 0 && !sidecar(c) {
		s.Ready = true // an init container is ready once it is done
	}
	if final || !restarts(policy, oc.Run.ExitCode) {
		s.State.Terminated = ended
		return
	}
	if w := pending(oc, now); w != nil {
		s.State.Waiting, s.LastTerminationState = w, corev1.ContainerState{Terminated: ended}
		return
	}
	if due := restartAt(oc); now.Before(due) {
		delay := due.Sub(oc.Run.FinishedAt)
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", delay, c.Name, d.Pod.Name, d.Pod.Namespace, d.Pod.UID)}
		s.LastTerminationState = corev1.ContainerState{Terminated: ended}
		return
	}
	s.State.Terminated = ended
}

// restartAt is when the back-off of an ended run is over.
func restartAt(oc *Observation) time.Time {
	level, _ := strconv.Atoi(oc.Run.Labels[labelLevel])
	return oc.Run.FinishedAt.Add(restartDelay(levelAfter(level, ran(oc.Run)) - 1))
}

// pending is what a container that should start waits for, nil if nothing failed.
func pending(oc *Observation, now time.Time) *corev1.ContainerStateWaiting {
	if i := &oc.Image; i.Reason != "" && i.Image == nil {
		if i.Reason == "ErrImagePull" && !now.Before(i.FailedAt.Add(pullShown)) {
			return &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", i.Ref, i.Message)}
		}
		return &corev1.ContainerStateWaiting{Reason: i.Reason, Message: i.Message}
	}
	if oc.Create.Err != nil {
		return &corev1.ContainerStateWaiting{Reason: oc.CreateReason, Message: oc.Create.Err.Error()}
	}
	return nil
}

func waiting(oc *Observation, init, initialized bool, now time.Time) *corev1.ContainerStateWaiting {
	if w := pending(oc, now); w != nil {
		return w
	}
	if !initialized {
		return &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
	}
	return &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
}

func terminated(r *Run) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		ExitCode: int32(r.ExitCode), Reason: r.Reason, Message: r.Message, ContainerID: statusID(r.ID),
		StartedAt: stamp(r.StartedAt), FinishedAt: stamp(r.FinishedAt),
	}
	if r.Container.Message != "" && t.Message == "" {
		t.Message = r.Container.Message
	}
	return t
}

func stamp(t time.Time) metav1.Time {
	if t.IsZero() {
		return metav1.NewTime(time.Unix(0, 0).UTC())
	}
	return metav1.NewTime(t).Rfc3339Copy()
}

// Conditions kubelet states, in its order.
func conditions(d *Desired, o *Observed, s, last *corev1.PodStatus, now time.Time) []corev1.PodCondition {
	var list []corev1.PodCondition
	add := func(kind corev1.PodConditionType, ok bool, reason, message string) {
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message, ObservedGeneration: d.Pod.Generation}
		if ok {
			c.Status = corev1.ConditionTrue
		}
		c.LastTransitionTime = transition(last, c, now)
		list = append(list, c)
	}
	final := s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
	add(corev1.PodReadyToStartContainers, o.Sandbox.Done && !o.Cleaned, "", "")
	initOK, why, text := initialized(d, s)
	add(corev1.PodInitialized, initOK, why, text)
	ready, why, text := containersReady(d, o, s)
	gates, gateText := gatesPass(d.Pod, last)
	switch {
	case s.Phase == corev1.PodSucceeded:
		ready, why, text = false, "PodCompleted", ""
	case s.Phase == corev1.PodFailed:
		ready, why, text = false, "PodFailed", ""
	}
	switch {
	case ready && !gates && !final:
		add(corev1.PodReady, false, "ReadinessGatesNotReady", gateText)
	default:
		add(corev1.PodReady, ready, why, text)
	}
	add(corev1.ContainersReady, ready, why, text)
	add(corev1.PodScheduled, true, "", "")
	if o.Cleaned {
		add(state.PodStopped, true, "", "")
	}
	return list
}

func transition(last *corev1.PodStatus, c corev1.PodCondition, now time.Time) metav1.Time {
	if last != nil {
		for _, old := range last.Conditions {
			if old.Type == c.Type && old.Status == c.Status && !old.LastTransitionTime.IsZero() {
				return old.LastTransitionTime
			}
		}
	}
	return metav1.NewTime(now).Rfc3339Copy()
}

func initialized(d *Desired, s *corev1.PodStatus) (bool, string, string) {
	if s.Phase == corev1.PodSucceeded {
		return true, "PodCompleted", ""
	}
	var incomplete []string
	for i := range s.InitContainerStatuses {
		c := &s.InitContainerStatuses[i]
		if sidecar(&d.Pod.Spec.InitContainers[i]) {
			if c.Started == nil || !*c.Started {
				incomplete = append(incomplete, c.Name)
			}
		} else if c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
			incomplete = append(incomplete, c.Name)
		}
	}
	begun := slices.ContainsFunc(s.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.ContainerID != "" })
	if len(incomplete) > 0 && !begun {
		return false, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: %s", incomplete)
	}
	return true, "", ""
}

func containersReady(d *Desired, o *Observed, s *corev1.PodStatus) (bool, string, string) {
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
func gatesPass(pod *corev1.Pod, last *corev1.PodStatus) (bool, string) {
	var texts []string
	for _, g := range pod.Spec.ReadinessGates {
		ok, found := false, false
		if last != nil {
			for _, c := range last.Conditions {
				if c.Type == g.ConditionType {
					ok, found = c.Status == corev1.ConditionTrue, true
				}
			}
		}
		switch {
		case !found:
			texts = append(texts, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", g.ConditionType))
		case !ok:
			texts = append(texts, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but False", g.ConditionType))
		}
	}
	return len(texts) == 0, strings.Join(texts, ", ")
}
