package runtime

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Resize is what is known of a Pod's resources beside what it is to have: what the node has set aside for it, and
// what its containers run under. Between the three a change of them makes its way.
type Resize struct {
	Allocated Allotment `json:"allocated"`
	Actuated  Allotment `json:"actuated"`

	// Pending is why what the Pod is to have is not set aside, Progress that what is set aside is not in force. Nil
	// where that is not so.
	Pending  *Held `json:"pending,omitempty"`
	Progress *Held `json:"progress,omitempty"`

	Retry    time.Time `json:"-"` // of what is in progress, or pending
	Failures int       `json:"-"`
}

// Held is a condition of a resize.
type Held struct {
	Reason     string `json:"reason,omitempty"`
	Message    string `json:"message,omitempty"`
	Generation int64  `json:"generation"`
}

// Allotment is the resources of a Pod: its own, and those of its containers that can be resized.
type Allotment struct {
	Pod        *corev1.ResourceRequirements           `json:"pod,omitempty"`
	Containers map[string]corev1.ResourceRequirements `json:"containers"`
}

// Adjustment is what a change of resources asks of a running container.
type Adjustment string

// The adjustments.
const (
	AdjustNone    Adjustment = ""
	AdjustUpdate  Adjustment = "update"
	AdjustRestart Adjustment = "restart"
)

func allotmentOf(spec *corev1.PodSpec) Allotment {
	a := Allotment{Pod: spec.Resources.DeepCopy(), Containers: map[string]corev1.ResourceRequirements{}}
	for c := range resizable(spec) {
		a.Containers[c.Name] = *c.Resources.DeepCopy()
	}
	return a
}

// resizable are the containers whose resources may change: those that run as long as the Pod.
func resizable(spec *corev1.PodSpec) func(yield func(*corev1.Container) bool) {
	return func(yield func(*corev1.Container) bool) {
		for i := range spec.InitContainers {
			if c := &spec.InitContainers[i]; sidecar(c) && !yield(c) {
				return
			}
		}
		for i := range spec.Containers {
			if !yield(&spec.Containers[i]) {
				return
			}
		}
	}
}

func (a Allotment) equal(b Allotment) bool { return equality.Semantic.DeepEqual(a, b) }

// give is a copy of the Pod with these resources.
func (a Allotment) give(pod *corev1.Pod) *corev1.Pod {
	if a.equal(allotmentOf(&pod.Spec)) {
		return pod
	}
	pod = pod.DeepCopy()
	pod.Spec.Resources = a.Pod.DeepCopy()
	for c := range resizable(&pod.Spec) {
		if r, ok := a.Containers[c.Name]; ok {
			c.Resources = *r.DeepCopy()
		}
	}
	return pod
}

// adjustment is what a running container needs to get from what it runs under to what is set aside for it.
func (r *Resize) adjustment(c *corev1.Container) Adjustment {
	if r == nil {
		return AdjustNone
	}
	is, has := r.Actuated.Containers[c.Name]
	to, set := r.Allocated.Containers[c.Name]
	if !has || !set {
		return AdjustNone
	}
	adjust := AdjustNone
	for name, changed := range map[corev1.ResourceName]bool{
		corev1.ResourceCPU:    !bounds(r.Actuated.Pod, is, corev1.ResourceCPU).equal(bounds(r.Allocated.Pod, to, corev1.ResourceCPU)),
		corev1.ResourceMemory: !bounds(r.Actuated.Pod, is, corev1.ResourceMemory).equal(bounds(r.Allocated.Pod, to, corev1.ResourceMemory)),
	} {
		switch {
		case !changed:
		case resizePolicy(c, name) == corev1.RestartContainer:
			return AdjustRestart
		default:
			adjust = AdjustUpdate
		}
	}
	return adjust
}

// span is one resource of a container in thousandths: what it asks for and the limit that it runs under.
type span struct{ request, limit int64 }

func (b span) equal(c span) bool { return b == c }

func bounds(pod *corev1.ResourceRequirements, c corev1.ResourceRequirements, name corev1.ResourceName) span {
	request, limit := c.Requests[name], c.Limits[name]
	if limit.IsZero() && pod != nil {
		limit = pod.Limits[name]
	}
	return span{request.MilliValue(), limit.MilliValue()}
}

func resizePolicy(c *corev1.Container, name corev1.ResourceName) corev1.ResourceResizeRestartPolicy {
	for _, p := range c.ResizePolicy {
		if p.ResourceName == name {
			return p.RestartPolicy
		}
	}
	return corev1.NotRequired
}

// settled says that everything runs under what is set aside for it. Containers that do not run come to that when they
// start, and only those that were ended for it are waited for.
func (r *Resize) settled(pod *corev1.Pod, o *Observed) bool {
	for c := range resizable(&pod.Spec) {
		oc := o.Containers[c.Name]
		if oc != nil && (oc.Run.Running() || oc.Anew) && r.adjustment(c) != AdjustNone {
			return false
		}
	}
	return equality.Semantic.DeepEqual(r.Actuated.Pod, r.Allocated.Pod)
}

// conditions are those of a resize, as kubelet states them.
func (r *Resize) conditions(last *corev1.PodStatus, now time.Time) []corev1.PodCondition {
	if r == nil {
		return nil
	}
	var list []corev1.PodCondition
	add := func(kind corev1.PodConditionType, h *Held) {
		if h == nil {
			return
		}
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, Reason: h.Reason, Message: h.Message,
			ObservedGeneration: h.Generation, LastTransitionTime: metav1.NewTime(now).Rfc3339Copy()}
		if last != nil {
			i := slices.IndexFunc(last.Conditions, func(o corev1.PodCondition) bool { return o.Type == kind })
			if i >= 0 && last.Conditions[i].Reason == h.Reason {
				c.LastTransitionTime = last.Conditions[i].LastTransitionTime
			}
		}
		list = append(list, c)
	}
	add(corev1.PodResizePending, r.Pending)
	add(corev1.PodResizeInProgress, r.Progress)
	return list
}

// fits says whether a node has room for what a Pod is to have: nothing if so, else the reason of PodResizePending and
// its message. used is what all other Pods have.
func fits(pod *corev1.Pod, allocatable, used corev1.ResourceList) (reason, message string) {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		asked, all, taken := count(requests, name), count(allocatable, name), count(used, name)
		switch {
		case asked == 0:
		case asked > all:
			return corev1.PodReasonInfeasible, fmt.Sprintf("Node didn't have enough capacity: %s, requested: %d, capacity: %d", name, asked, all)
		case asked > all-taken:
			return corev1.PodReasonDeferred, fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, asked, taken, all)
		}
	}
	return "", ""
}

// count is a resource in the unit that kubelet's messages have: thousandths of a CPU, bytes.
func count(list corev1.ResourceList, name corev1.ResourceName) int64 {
	q := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// summary is the tail of kubelet's events about a resize.
func summary(pod *corev1.Pod, generation int64, problem string) string {
	type one struct {
		Name      string                      `json:"name"`
		Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	}
	all := struct {
		Init       []one  `json:"initContainers,omitempty"`
		Containers []one  `json:"containers,omitempty"`
		Generation int64  `json:"generation"`
		Error      string `json:"error,omitempty"`
	}{Generation: generation, Error: problem}
	for _, c := range pod.Spec.InitContainers {
		all.Init = append(all.Init, one{c.Name, c.Resources})
	}
	for _, c := range pod.Spec.Containers {
		all.Containers = append(all.Containers, one{c.Name, c.Resources})
	}
	data, err := json.Marshal(all)
	if err != nil {
		return ""
	}
	return string(data)
}

// waits says that it is time to look again whether the node has room.
func (r *Resize) waits(now time.Time) bool {
	return r != nil && r.Pending != nil && !now.Before(r.Retry)
}

// inForce are the resources that a running container has.
func (r *Resize) inForce(c *corev1.Container) *corev1.ResourceRequirements {
	if r != nil {
		if is, ok := r.Actuated.Containers[c.Name]; ok {
			return is.DeepCopy()
		}
	}
	return c.Resources.DeepCopy()
}

// state puts what the Pod as a whole has into its status; pod is as the node has set resources aside.
func (r *Resize) state(pod *corev1.Pod, s *corev1.PodStatus) {
	if list := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}); len(list) > 0 {
		s.AllocatedResources = list
	}
	if r == nil {
		return
	}
	is := r.Actuated.give(pod)
	requests, limits := resourcehelper.PodRequests(is, resourcehelper.PodResourcesOptions{}), resourcehelper.PodLimits(is, resourcehelper.PodResourcesOptions{})
	if len(requests)+len(limits) > 0 {
		s.Resources = &corev1.ResourceRequirements{Requests: requests, Limits: limits}
	}
}

// resize has what runs brought to what is set aside for it.
func (p *Plan) resize(d *Desired, o *Observed, now time.Time) {
	r := o.Resize
	if r == nil {
		return
	}
	if r.Pending != nil {
		p.wake(r.Retry)
	}
	due := !equality.Semantic.DeepEqual(r.Actuated.Pod, r.Allocated.Pod)
	for c := range resizable(&d.Pod.Spec) {
		if oc := o.Containers[c.Name]; oc != nil && oc.Run.Running() && r.adjustment(c) == AdjustUpdate {
			due = true
		}
	}
	switch {
	case !due:
	case now.Before(r.Retry) && r.Failures > 0:
		p.wake(r.Retry)
	default:
		p.add(Step{Do: ActResize})
	}
}
