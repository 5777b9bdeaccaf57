package runtime

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"

	"writ/runtime/shim"
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
	for i := range d.Pod.Spec.InitContainers {
		s.InitContainerStatuses = append(s.InitContainerStatuses, containerStatus(d, o, &d.Pod.Spec.InitContainers[i], last, true, now))
	}
	for i := range d.Pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, containerStatus(d, o, &d.Pod.Spec.Containers[i], last, false, now))
	}
	boundMessages(s)
	s.Phase = phase(d, o, s, last)
	switch {
	case o.Failed != nil && s.Phase == corev1.PodFailed:
		s.Reason, s.Message = o.Failed.Reason, o.Failed.Message
	case last != nil && last.Phase == s.Phase:
		s.Reason, s.Message = last.Reason, last.Message
	}
	s.Conditions = conditions(d, o, s, last, now)
	o.Resize.state(d.Pod, s)
	return s
}

func containerStatus(d *Desired, o *Observed, c *corev1.Container, last *corev1.PodStatus, init bool, now time.Time) corev1.ContainerStatus {
	oc := o.Containers[c.Name]
	if oc == nil {
		oc = &Observation{}
	}
	oc = oc.withVolumes(d, o, c)
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, AllocatedResourcesStatus: oc.Devices, VolumeMounts: volumeMounts(o, c)}
	no := false
	s.Started = &no
	if old := before(last, c.Name, init); old != nil && oc.Run == nil {
		lost(&s, old, oc)
	}
	if r := oc.Run; r != nil {
		s.RestartCount = int32(r.Attempt)
		s.ContainerID = statusID(r.ID)
		s.Resources = o.Resize.inForce(c)
		s.AllocatedResources = c.Resources.Requests.DeepCopy()
		s.ImageID = r.Labels[labelStatus]
		s.User = containerUser(r.Labels[labelUser])
		if r.Labels[labelImage] != "" {
			s.Image = r.Labels[labelImage]
		}
		if c.Lifecycle != nil {
			s.StopSignal = c.Lifecycle.StopSignal
		}
	}
	if oc.Last != nil {
		s.LastTerminationState = corev1.ContainerState{Terminated: terminated(oc.Last)}
	}
	switch r := oc.Run; {
	case oc.starting():
		s.State.Waiting = waiting(d.Pod, oc, now) // a container runs once its postStart has ended
	case r.Running():
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(r.StartedAt).Rfc3339Copy()}
		up := started(oc)
		s.Started = &up
		s.Ready = oc.Ready && up
	case r.Exited():
		exited(d, o, c, oc, &s, init, now)
	case r == nil && init && !sidecar(c) && o.begun(&d.Pod.Spec):
		s.Ready = true
		s.State.Terminated = &corev1.ContainerStateTerminated{Reason: shim.ReasonCompleted,
			Message: "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally"}
	default:
		s.State.Waiting = waiting(d.Pod, oc, now)
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
	ended := terminated(oc.Run)
	final := d.Gone || d.Deletion != nil || o.Failed != nil || finished(d.Pod, o)
	if init && oc.Run.ExitCode == 0 && !sidecar(c) && !oc.Run.Past {
		s.Ready = true // an init container is ready once it is done
	}
	level, due := next(d.Pod, c, oc)
	if final || level < 0 {
		s.State.Terminated = ended
		return
	}
	s.LastTerminationState = corev1.ContainerState{Terminated: ended}
	failure := startFailure(oc)
	switch w := pending(oc, now); {
	case w != nil:
		s.State.Waiting = w
	case failure != nil && (!now.Before(due) || now.Before(oc.Run.FinishedAt.Add(failureShown))):
		s.State.Waiting = failure
	case now.Before(due) && !resets(c, oc.Run):
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", due.Sub(oc.Run.FinishedAt), c.Name, d.Pod.Name, d.Pod.Namespace, d.Pod.UID)}
	case oc.Run.Past && oc.Run.Reason == restartingAll:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: restartingAll, Message: restartingAllText}
	case oc.Run.Past:
		s.State.Waiting = waiting(d.Pod, oc, now)
	default:
		s.State.Terminated, s.LastTerminationState = ended, corev1.ContainerState{}
		if oc.Last != nil {
			s.LastTerminationState.Terminated = terminated(oc.Last)
		}
	}
}

// startFailure is why the newest run did not really begin, nil if it did.
func startFailure(oc *Observation) *corev1.ContainerStateWaiting {
	switch {
	case oc.Run.Reason == shim.ReasonStartError:
		return &corev1.ContainerStateWaiting{Reason: "RunContainerError", Message: oc.Run.Container.Message}
	case oc.HookFailure != "":
		return &corev1.ContainerStateWaiting{Reason: "PostStartHookError", Message: oc.HookFailure}
	}
	return nil
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

func waiting(pod *corev1.Pod, oc *Observation, now time.Time) *corev1.ContainerStateWaiting {
	if w := pending(oc, now); w != nil {
		return w
	}
	if len(pod.Spec.InitContainers) > 0 { // as upstream says it, also of those that run after them
		return &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
	}
	return &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
}

func terminated(r *Run) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		ExitCode: int32(r.ExitCode), Reason: r.Reason, Message: r.Message, ContainerID: statusID(r.ID),
		StartedAt: stamp(r.StartedAt), FinishedAt: stamp(r.FinishedAt),
	}
	if text := r.Container.Message; text != "" { // of the runtime, then what the program left
		if t.Message != "" {
			text += ": "
		}
		t.Message = text + t.Message
	}
	return t
}

func stamp(t time.Time) metav1.Time {
	if t.IsZero() {
		return metav1.NewTime(time.Unix(0, 0).UTC())
	}
	return metav1.NewTime(t).Rfc3339Copy()
}
