package sim

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/state"
)

// Node is a simulated node.
type Node struct {
	// CPU, Memory and Pods are its allocatable resources. Default: 4, 8Gi and 110.
	CPU, Memory string
	Pods        int64
	// Down makes the node report that it is not ready; its Pods keep their last status.
	Down bool
	// Behave says how the Pods behave; nil: all start at once and become ready.
	Behave func(*corev1.Pod) Behaviour
}

// Behaviour is how one Pod behaves. The zero value starts at once and becomes ready.
type Behaviour struct {
	StartAfter time.Duration // from binding to Running
	ReadyAfter time.Duration // from Running to Ready
	NeverReady bool
	StopAfter  time.Duration // from the deletion to the end, at most the grace
	Phase      corev1.PodPhase
	End        *End // how its containers end by themselves; nil: they do not
}

// Step is what the node has observed by now and does not stand in the View yet, and when it will
// observe more; zero means not by time alone.
func (n Node) Step(v state.View, now time.Time) (state.Batch, time.Time) {
	b := state.Batch{Writer: state.NodeWriter(v.Self()), Base: v.Revision(), Now: now}
	self := v.Node()
	if self == nil {
		return b, time.Time{}
	}
	s := stepper{n: n, v: v, now: now, stamp: state.Stamp(now), batch: &b}
	s.node(self)
	if !n.Down {
		s.pods()
		s.volumes()
	}
	return b, s.wake
}

type stepper struct {
	n     Node
	v     state.View
	now   time.Time
	stamp metav1.Time
	batch *state.Batch
	wake  time.Time
}

func (s *stepper) later(t time.Time) {
	if s.wake.IsZero() || t.Before(s.wake) {
		s.wake = t
	}
}

// node reports the node itself and what it has routed: every deletion that it can see.
func (s *stepper) node(self *state.Record) {
	put := state.Put{Ref: self.Ref, UID: self.UID}
	if status := s.status(self); !equality.Semantic.DeepEqual(self.Status, status) {
		put.Status = status
	}
	if !s.n.Down {
		for p := range s.v.Pods() {
			if p.Deletion != nil && p.Deletion.Revision > self.Routed {
				put.Routed = max(put.Routed, s.v.Revision())
			}
		}
	}
	if put.Status != nil || put.Routed > 0 {
		s.batch.Puts = append(s.batch.Puts, put)
	}
}

func (s *stepper) status(self *state.Record) *corev1.NodeStatus {
	pods := s.n.Pods
	if pods == 0 {
		pods = 110
	}
	resources := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(cmp.Or(s.n.CPU, "4")),
		corev1.ResourceMemory:           resource.MustParse(cmp.Or(s.n.Memory, "8Gi")),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		corev1.ResourcePods:             *resource.NewQuantity(pods, resource.DecimalSI),
	}
	ready := corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		Message: "kubelet is posting ready status", LastTransitionTime: s.stamp, LastHeartbeatTime: s.stamp,
	}
	if s.n.Down {
		ready.Status, ready.Reason, ready.Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status."
	}
	if old, ok := self.Status.(*corev1.NodeStatus); ok {
		for _, c := range old.Conditions {
			if c.Type == ready.Type && c.Status == ready.Status {
				ready = c
			}
		}
	}
	return &corev1.NodeStatus{
		Capacity: resources, Allocatable: resources, Conditions: []corev1.NodeCondition{ready},
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: string(s.v.Self())}},
	}
}

func (s *stepper) pods() {
	used := map[netip.Addr]bool{}
	for p := range s.v.Pods() {
		if ip, err := netip.ParseAddr(p.PodStatus().PodIP); err == nil {
			used[ip] = true
		}
	}
	for p := range s.v.Pods() {
		next := s.pod(p, used)
		if next != nil && !equality.Semantic.DeepEqual(next, p.PodStatus()) {
			s.batch.Puts = append(s.batch.Puts, state.Put{Ref: p.Ref, UID: p.UID, Status: next})
		}
	}
}

// volumes removes the folders of volumes that are to go.
func (s *stepper) volumes() {
	for v := range s.v.Volumes() {
		status, _ := v.Status.(*corev1.PersistentVolumeStatus)
		if v.Deletion != nil && v.HasFolder() && (status == nil || status.Reason != state.VolumeRemoved) {
			s.batch.Puts = append(s.batch.Puts, state.Put{Ref: v.Ref, UID: v.UID, Status: &corev1.PersistentVolumeStatus{Phase: corev1.VolumeReleased, Reason: state.VolumeRemoved}})
		}
	}
}

func (s *stepper) behaviour(p *state.Record) Behaviour {
	if s.n.Behave == nil {
		return Behaviour{}
	}
	return s.n.Behave(p.Pod())
}

// pod is the next status of a Pod, nil for no change.
func (s *stepper) pod(p *state.Record, used map[netip.Addr]bool) *corev1.PodStatus {
	how := s.behaviour(p)
	if p.Deletion != nil {
		return s.stop(p, how)
	}
	old := p.PodStatus()
	if old.Phase == corev1.PodSucceeded || old.Phase == corev1.PodFailed {
		return nil
	}
	begun := s.now
	if c := state.PodCondition(old, corev1.PodScheduled); c != nil {
		begun = c.LastTransitionTime.Time
	}
	if at := begun.Add(how.StartAfter); at.After(s.now) {
		s.later(at)
		return nil
	}
	next := old.DeepCopy()
	if next.StartTime == nil {
		next.StartTime = &s.stamp
	}
	if next.PodIP == "" {
		next.PodIP = s.address(used)
		next.PodIPs = []corev1.PodIP{{IP: next.PodIP}}
	}
	next.Phase = corev1.PodRunning
	if how.Phase != "" {
		next.Phase = how.Phase
	}
	if how.End != nil {
		s.run(p, next, how.End)
	}
	ended := next.Phase != corev1.PodRunning
	ready := !how.NeverReady && !ended && !waiting(next)
	if at := next.StartTime.Add(how.ReadyAfter); ready && at.After(s.now) {
		s.later(at)
		ready = false
	}
	s.set(next, corev1.PodScheduled, true)
	s.set(next, corev1.PodReadyToStartContainers, !ended)
	s.set(next, corev1.PodInitialized, true)
	s.set(next, corev1.ContainersReady, ready)
	s.set(next, corev1.PodReady, ready)
	if how.End == nil {
		next.ContainerStatuses = s.containers(p, next, ready)
		return next
	}
	s.each(next, func(c *corev1.ContainerStatus) { c.Ready = ready })
	return next
}

// waiting says that a container of a started Pod waits for another run.
func waiting(status *corev1.PodStatus) bool {
	return slices.ContainsFunc(status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.State.Waiting != nil })
}

func (s *stepper) containers(p *state.Record, status *corev1.PodStatus, ready bool) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i, c := range p.Pod().Spec.Containers {
		cs := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: ready}
		if i < len(status.ContainerStatuses) {
			cs.RestartCount = status.ContainerStatuses[i].RestartCount
		}
		if status.Phase == corev1.PodRunning {
			cs.State.Running = &corev1.ContainerStateRunning{StartedAt: *status.StartTime}
		} else {
			code := int32(0)
			if status.Phase == corev1.PodFailed {
				code = 1
			}
			cs.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: code, StartedAt: *status.StartTime}
		}
		out = append(out, cs)
	}
	return out
}

// stop ends a Pod: out of the routing first, then the time it takes.
func (s *stepper) stop(p *state.Record, how Behaviour) *corev1.PodStatus {
	self := s.v.Node()
	if self.Routed < p.Deletion.Revision && s.now.Before(p.Deletion.At.Add(2*time.Second)) {
		s.later(p.Deletion.At.Add(2 * time.Second))
		return nil
	}
	end := p.Deletion.At.Add(how.StopAfter)
	if d := p.Deletion.Deadline(); end.After(d) {
		end = d
	}
	if end.After(s.now) {
		s.later(end)
		return nil
	}
	next := p.PodStatus().DeepCopy()
	if how.End != nil {
		s.killed(p, next)
	}
	s.set(next, corev1.PodReadyToStartContainers, false)
	s.set(next, corev1.ContainersReady, false)
	s.set(next, corev1.PodReady, false)
	s.set(next, state.PodStopped, true)
	return next
}

// address is the lowest of the node's range that no Pod has, after the network and gateway addresses.
func (s *stepper) address(used map[netip.Addr]bool) string {
	n, ok := s.v.Node().Object.(*corev1.Node)
	if !ok {
		return ""
	}
	p, err := netip.ParsePrefix(n.Spec.PodCIDR)
	if err != nil {
		return ""
	}
	for a := p.Addr().Next().Next(); p.Contains(a); a = a.Next() {
		if !used[a] {
			used[a] = true
			return a.String()
		}
	}
	return ""
}

func (s *stepper) set(status *corev1.PodStatus, kind corev1.PodConditionType, is bool) {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, LastTransitionTime: s.stamp}
	if is {
		c.Status = corev1.ConditionTrue
	}
	if old := state.PodCondition(status, kind); old != nil {
		if old.Status == c.Status {
			return
		}
		*old = c
		return
	}
	status.Conditions = slices.Concat(status.Conditions, []corev1.PodCondition{c})
}
