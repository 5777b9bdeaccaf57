package runtime

import (
	"errors"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"

	"writ/runtime/shim"
)

// over says that the Pod ended for good before a reboot: it needs no sandbox.
func (w *worker) over() bool {
	return w.reported != nil && podutil.IsPodPhaseTerminal(w.reported.Phase) && !exists(w.paths.run)
}

// recall takes what ran before and of which nothing is left, after a reboot, from the status this node
// stated. Restart policies count those runs; a Pod that goes on begins with its init containers.
func (w *worker) recall() {
	if w.reported == nil {
		return
	}
	begun, lost := w.o.begun(&w.desired.Pod.Spec), false
	for _, list := range [][]corev1.ContainerStatus{w.reported.InitContainerStatuses, w.reported.ContainerStatuses} {
		for i := range list {
			s := &list[i]
			c := w.spec(s.Name)
			oc := w.o.container(s.Name)
			if c == nil || oc.Run != nil {
				continue
			}
			if oc.Run = pastRun(s); oc.Run == nil {
				continue
			}
			oc.Run.LogPath = w.paths.log(s.Name, oc.Run.Attempt)
			if begun && initContainer(w.desired.Pod, c) && !sidecar(c) {
				oc.Run.Past = false
				continue
			}
			lost = lost || s.State.Running != nil
		}
	}
	if lost && !w.ending.Load() && !finished(w.desired.Pod, &w.o) {
		w.event(corev1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	}
}

// pastRun is the newest run that a status tells of, nil if it tells of none.
func pastRun(s *corev1.ContainerStatus) *Run {
	r := &Run{Past: true, Container: shim.Container{
		Name: s.Name, Attempt: int(s.RestartCount), Status: shim.StatusExited,
		Labels: map[string]string{labelImage: s.Image, labelStatus: s.ImageID, labelLevel: "0", labelUser: pastUser(s.User)},
	}}
	t := s.State.Terminated
	if t == nil && s.State.Waiting != nil {
		t = s.LastTerminationState.Terminated
	}
	switch {
	case t != nil:
		r.ID, r.ExitCode, r.Reason, r.Message = t.ContainerID, int(t.ExitCode), t.Reason, t.Message
		r.StartedAt, r.FinishedAt = t.StartedAt.Time, t.FinishedAt.Time
	case s.State.Running != nil:
		r.ID, r.ExitCode, r.Reason = s.ContainerID, 137, shim.ReasonUnknown
		r.Message = "The container could not be located when the pod was deleted.  The container used to be Running"
		r.StartedAt = s.State.Running.StartedAt.Time
	default:
		return nil
	}
	r.ID = strings.TrimPrefix(r.ID, runtimeName+"://")
	return r
}

// reset forgets every run of the Pod, so that its containers begin anew in place. What is on its volumes
// stays, and so do logs. The one whose exit asked for it goes last: as long as the shim has it, a daemon
// that starts in between goes on.
func (w *worker) reset() {
	pod := w.desired.Pod
	var sources []*corev1.Container
	for c := range containers(&pod.Spec) {
		if r := w.o.container(c.Name).Run; r.Exited() && !r.Past && resets(c, r) {
			sources = append(sources, c)
			continue
		} else if r != nil && r.Past && r.Reason == restartingAll {
			continue // before something failed; its back-off level is known
		}
		if !w.resetOne(c, 0) {
			return
		}
	}
	for _, c := range sources {
		level, _ := next(pod, c, w.o.container(c.Name))
		if !w.resetOne(c, max(level, 0)) {
			return
		}
	}
	w.o.Reset = Attempt{}
}

func (w *worker) resetOne(c *corev1.Container, level int) bool {
	oc := w.o.container(c.Name)
	for _, r := range []*Run{oc.Last, oc.Run} {
		if r == nil || r.Past {
			continue
		}
		err := w.removeFiles(r.ID)
		if gone := w.shim.Remove(w.ctx, r.ID); err == nil && !errors.Is(gone, shim.ErrNotFound) {
			err = gone
		}
		if err != nil {
			w.o.Reset.fail(err, time.Now())
			w.r.log.Warn("container is not removed before all begin anew", "pod", w.ref.String(), "container", c.Name, "err", err)
			return false
		}
	}
	if oc.Run == nil {
		return true
	}
	r := *oc.Run
	r.Past, r.Reason, r.ExitCode, r.Container.Message, r.Message = true, restartingAll, 137, "", restartingAllText
	r.Labels = map[string]string{labelImage: r.Labels[labelImage], labelImageID: r.Labels[labelImageID], labelStatus: r.Labels[labelStatus], labelLevel: strconv.Itoa(level), labelUser: r.Labels[labelUser]}
	oc.Run, oc.Last, oc.HookFailure = &r, nil, ""
	return true
}
