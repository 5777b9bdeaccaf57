package reconcile

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"

	"writ/manifest"
	"writ/state"
)

// State is how an object stands against what its author wrote, best first.
type State uint8

const (
	Healthy     State = iota + 1
	Stored            // kept and shown; nothing acts on its kind yet
	Suspended         // it waits because its author says so: paused, cordoned
	Progressing       // on its way
	Degraded          // it does not run as it should, and will not without a change
	Missing           // it is not there
	NotStarted        // it uses fields that are not acted on yet, and is not started
	Unenforced        // it forbids something, and nothing enforces it yet
)

func (s State) String() string {
	names := [...]string{"", "Healthy", "Stored", "Suspended", "Progressing", "Degraded", "Missing", "NotStarted", "Unenforced"}
	if int(s) >= len(names) || s == 0 {
		return "Unknown"
	}
	return names[s]
}

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// OK says that nobody needs to wait for the object, or to do something about it.
func (s State) OK() bool { return s == Healthy || s == Stored || s == Suspended }

// Health is the state of one object with the reason in one line, empty where there is nothing to say.
func Health(w *state.World, ref manifest.Ref) (State, string) {
	r := w.Get(ref)
	switch {
	case r == nil:
		return Missing, "it is not there"
	case r.Deletion != nil:
		return Progressing, "terminating: " + r.Deletion.Reason
	case manifest.Restricts(ref.GroupKind()):
		return Unenforced, ref.Kind + " is not enforced yet"
	case manifest.IsKnown(ref.GroupKind()) && !manifest.Acted(ref.GroupKind()):
		return Stored, ref.Kind + " is not acted on yet"
	}
	if uses := notYet(r); len(uses) > 0 {
		return NotStarted, uses[0].Path + ": " + uses[0].Reason
	}
	switch o := r.Object.(type) {
	case *appsv1.Deployment:
		return deploymentHealth(w, r, o)
	case *appsv1.ReplicaSet:
		return replicaSetHealth(w, r, o)
	case *appsv1.StatefulSet:
		return statefulSetHealth(w, r, o)
	case *batchv1.CronJob:
		return cronJobHealth(w, r, o)
	case *corev1.ReplicationController:
		rs, _ := replicaSetOf(o)
		return replicaSetHealth(w, r, rs)
	case *autoscalingv2.HorizontalPodAutoscaler:
		return autoscalerHealth(r)
	case *batchv1.Job:
		return jobHealth(w, r, o)
	case *appsv1.DaemonSet:
		return daemonSetHealth(w, r, o)
	case *policyv1.PodDisruptionBudget:
		return budgetHealth(r)
	case *corev1.Pod:
		return podHealth(r)
	case *corev1.Service:
		return serviceHealth(w, r, o)
	case *corev1.Node:
		return nodeHealth(r, o)
	case *corev1.PersistentVolumeClaim:
		return claimHealth(r)
	case *corev1.PersistentVolume:
		return volumeHealth(r)
	case *storagev1.StorageClass:
		return classHealth(o)
	}
	return Healthy, ""
}

func deploymentHealth(w *state.World, r *state.Record, d *appsv1.Deployment) (State, string) {
	s, _ := r.Status.(*appsv1.DeploymentStatus)
	if s == nil || s.ObservedGeneration < r.Generation {
		return Progressing, "not looked at yet"
	}
	want := r.Replicas(d.Spec.Replicas)
	if c := condition(s, appsv1.DeploymentReplicaFailure); c != nil && c.Status == corev1.ConditionTrue {
		return Degraded, c.Message
	}
	if c := condition(s, rolledBackCondition); c != nil {
		return Degraded, because(c.Message, sick(w, r))
	}
	if c := condition(s, waitingCondition); c != nil {
		return Progressing, c.Message
	}
	if c := condition(s, blockedCondition); c != nil {
		if c.Status == corev1.ConditionTrue {
			return Degraded, c.Message
		}
		return Progressing, c.Message
	}
	if c := condition(s, appsv1.DeploymentProgressing); c != nil && c.Reason == "ProgressDeadlineExceeded" {
		return Degraded, because(c.Message, sick(w, r))
	}
	switch {
	case d.Spec.Paused:
		if why := sick(w, r); why != "" { // what runs is to run, paused or not
			return Degraded, because("paused", why)
		}
		return Suspended, "paused"
	case s.UpdatedReplicas < want:
		return worse(fmt.Sprintf("%d of %d new replicas have been updated", s.UpdatedReplicas, want), sick(w, r))
	case s.Replicas > s.UpdatedReplicas:
		return worse(fmt.Sprintf("%d old replicas are pending termination", s.Replicas-s.UpdatedReplicas), sick(w, r))
	case s.AvailableReplicas < s.UpdatedReplicas:
		return worse(fmt.Sprintf("%d of %d updated replicas are available", s.AvailableReplicas, s.UpdatedReplicas), sick(w, r))
	}
	return Healthy, ""
}

func replicaSetHealth(w *state.World, r *state.Record, rs *appsv1.ReplicaSet) (State, string) {
	s := replicaSetStatusOf(r)
	if s == nil || s.ObservedGeneration < r.Generation {
		return Progressing, "not looked at yet"
	}
	for _, c := range s.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			return Degraded, c.Message
		}
		if c.Type == waitingCondition {
			return Progressing, c.Message
		}
	}
	if want := r.Replicas(rs.Spec.Replicas); s.AvailableReplicas < want {
		return worse(fmt.Sprintf("%d of %d replicas are available", s.AvailableReplicas, want), sick(w, r))
	}
	return Healthy, ""
}

// worse is Degraded if a Pod cannot get on by itself, Progressing otherwise.
func worse(what, why string) (State, string) {
	if why != "" {
		return Degraded, because(what, why)
	}
	return Progressing, what
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return strings.TrimSuffix(what, ".") + ": " + why
}

// sick is why a Pod below an owner does not get on, of the first by name that does not.
func sick(w *state.World, owner *state.Record) string {
	for r := range w.Owned(owner.UID) {
		if r.Ref.Kind != "Pod" {
			if why := sick(w, r); why != "" {
				return why
			}
			continue
		}
		if !active(r) {
			continue
		}
		if s, why := podHealth(r); s == Degraded {
			return "pod " + r.Ref.Name + ": " + why
		}
	}
	return ""
}

func podHealth(r *state.Record) (State, string) {
	s := r.PodStatus()
	switch s.Phase {
	case corev1.PodSucceeded:
		return Healthy, "completed"
	case corev1.PodFailed:
		return Degraded, because("failed", firstOf(s.Message, s.Reason, exitText(s)))
	}
	if c := state.PodCondition(s, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		if c.Reason == corev1.PodReasonSchedulingGated {
			return Progressing, c.Message
		}
		return Degraded, because(c.Reason, c.Message)
	}
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for i := range list {
			if wait := list[i].State.Waiting; wait != nil && stuck(wait.Reason) {
				return Degraded, because("container "+list[i].Name+": "+wait.Reason, firstOf(lastEnd(&list[i]), wait.Message))
			}
		}
	}
	if how, why := resizeHealth(r); how != 0 {
		return how, why
	}
	if podReady(r) {
		return Healthy, ""
	}
	if s.Phase == corev1.PodRunning {
		return Progressing, "running, not ready"
	}
	return Progressing, "starting"
}

// resizeHealth says how far a change of a Pod's resources is, nothing if there is none under way.
func resizeHealth(r *state.Record) (State, string) {
	pending, running := state.PodCondition(r.PodStatus(), corev1.PodResizePending), state.PodCondition(r.PodStatus(), corev1.PodResizeInProgress)
	switch {
	case pending != nil && pending.Reason == corev1.PodReasonInfeasible, running != nil && running.Reason == corev1.PodReasonError:
		if pending == nil {
			pending = running
		}
		return Degraded, because("resize", pending.Message)
	case pending != nil:
		return Progressing, because("resize waits", pending.Message)
	case running != nil:
		return Progressing, "resizing"
	}
	return 0, ""
}

// lastEnd is how a container that waits to be started again ended before, empty if it never ran.
func lastEnd(c *corev1.ContainerStatus) string {
	t := c.LastTerminationState.Terminated
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%s, exit code %d, %d restarts", firstOf(t.Reason, "ended"), t.ExitCode, c.RestartCount) + words(t)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// exitText is how the first container that did not end well ended.
func exitText(s *corev1.PodStatus) string {
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for i := range list {
			if t := list[i].State.Terminated; t != nil && t.ExitCode != 0 {
				return fmt.Sprintf("container %s: %s", list[i].Name, endText(t))
			}
		}
	}
	return ""
}

// endText is how a container ended: upstream's reason, its exit code, and its last words.
func endText(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("%s, exit code %d", firstOf(t.Reason, "ended"), t.ExitCode)
	if t.Signal != 0 {
		text += fmt.Sprintf(" by signal %d", t.Signal)
	}
	return text + words(t)
}

func words(t *corev1.ContainerStateTerminated) string {
	if m := strings.TrimSpace(t.Message); m != "" {
		return ": " + m
	}
	return ""
}

// stuck says that a waiting container will not get on by waiting alone. The words are the kubelet's.
func stuck(reason string) bool {
	switch reason {
	case "CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
		"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError":
		return true
	}
	return false
}

func serviceHealth(w *state.World, r *state.Record, s *corev1.Service) (State, string) {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return Healthy, ""
	}
	if r.Allocation == nil || len(r.Allocation.ClusterIPs) == 0 {
		return Degraded, "it has no address"
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && serves(w, r, s) {
		return Healthy, "external address pending: no load balancer here; its cluster IP and node ports work"
	}
	if serves(w, r, s) {
		return Healthy, ""
	}
	return Healthy, "no ready endpoints"
}

// serves says that a Service has somebody to answer, as far as its selector tells.
func serves(w *state.World, r *state.Record, s *corev1.Service) bool {
	if len(s.Spec.Selector) == 0 {
		return true
	}
	for p := range w.Select("", "Pod", r.Ref.Namespace, manifest.Selector(s)) {
		if active(p) && (podReady(p) || s.Spec.PublishNotReadyAddresses) {
			return true
		}
	}
	return false
}

func nodeHealth(r *state.Record, n *corev1.Node) (State, string) {
	s, _ := r.Status.(*corev1.NodeStatus)
	if s == nil {
		return Progressing, "has not reported yet"
	}
	for _, c := range s.Conditions {
		switch {
		case c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue:
			return Degraded, because(c.Reason, c.Message)
		case c.Type != corev1.NodeReady && c.Status == corev1.ConditionTrue:
			return Degraded, because(string(c.Type), c.Message)
		}
	}
	if how, why, drains := drainHealth(r); drains {
		return how, why
	}
	if n.Spec.Unschedulable {
		return Suspended, "cordoned"
	}
	return Healthy, ""
}
