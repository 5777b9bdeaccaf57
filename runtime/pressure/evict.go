package pressure

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Reason is that of a Pod's status, and of the event about it.
const Reason = "Evicted"

// atOnce is the grace, in seconds, of whoever has to go at once.
const atOnce = 1

// Eviction is that a Pod has to go.
type Eviction struct {
	UID     types.UID
	Message string // upstream's words
	// Annotations go with the event: which containers were to blame.
	Annotations map[string]string
	Grace       int64 // seconds
	// Disrupted says that the Pod goes for the node's sake, so that its status gets the condition DisruptionTarget.
	Disrupted bool
}

// Limited says that a Pod may use only so much of the disk, so that it has to be measured.
func Limited(pod *corev1.Pod) bool {
	if Critical(pod) {
		return false
	}
	for i := range pod.Spec.Volumes {
		if e := pod.Spec.Volumes[i].EmptyDir; e != nil && e.SizeLimit != nil && e.SizeLimit.Sign() == 1 {
			return true
		}
	}
	_, whole := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})[corev1.ResourceEphemeralStorage]
	return whole
}

// Limits says whether a Pod uses more of the disk than it may: of an emptyDir, in all, or one of its containers.
func Limits(pod *corev1.Pod, u *Usage) *Eviction {
	if Critical(pod) {
		return nil
	}
	message := overVolume(pod, u)
	if message == "" {
		message = overPod(pod, u)
	}
	if message == "" {
		message = overContainer(pod, u)
	}
	if message == "" {
		return nil
	}
	return &Eviction{UID: pod.UID, Message: message, Grace: atOnce}
}

func overVolume(pod *corev1.Pod, u *Usage) string {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.EmptyDir == nil || v.EmptyDir.SizeLimit == nil || v.EmptyDir.SizeLimit.Sign() != 1 {
			continue
		}
		if used, ok := u.Volumes[v.Name]; ok && used.Bytes > v.EmptyDir.SizeLimit.Value() {
			return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, v.EmptyDir.SizeLimit.String())
		}
	}
	return ""
}

func overPod(pod *corev1.Pod, u *Usage) string {
	limit, ok := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})[corev1.ResourceEphemeralStorage]
	if !ok || u.disk().Bytes <= limit.Value() {
		return ""
	}
	return fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", limit.String())
}

func overContainer(pod *corev1.Pod, u *Usage) string {
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		limit := c.Resources.Limits.StorageEphemeral()
		if limit.IsZero() {
			continue
		}
		for j := range u.Containers {
			if used := &u.Containers[j]; used.Name == c.Name && used.Root.Bytes+used.Logs.Bytes > limit.Value() {
				return fmt.Sprintf("Container %s exceeded its local ephemeral storage limit %q. ", c.Name, limit.String())
			}
		}
	}
	return ""
}

// victim is the first of the ranked Pods that may go.
func victim(c *Config, t *Threshold, levels Levels, ranked []Pod) *Eviction {
	for _, p := range ranked {
		if p.Ending || Critical(p.Object) {
			continue
		}
		e := &Eviction{UID: p.Object.UID, Grace: atOnce, Disrupted: true}
		if !t.hard() {
			own := p.Object.Spec.TerminationGracePeriodSeconds
			e.Grace = c.MaxPodGrace
			if own != nil && (c.MaxPodGrace < 0 || *own < e.Grace) {
				e.Grace = *own
			}
			e.Grace = max(e.Grace, 0)
		}
		e.Message, e.Annotations = blame(t, levels, &p)
		return e
	}
	return nil
}

// blame says what was short and which containers used more than they request.
func blame(t *Threshold, levels Levels, p *Pod) (string, map[string]string) {
	name := t.Signal.Resource()
	level := levels[t.Signal]
	quantity := bytes(t.Below.of(level.Capacity))
	if t.Below.Quantity != nil {
		quantity = t.Below.Quantity
	}
	var text strings.Builder
	fmt.Fprintf(&text, "The node was low on resource: %v. Threshold quantity: %v, available: %v. ", name, quantity, t.Signal.quantity(level.Available))
	notes := map[string]string{}
	if p.Usage == nil {
		return text.String(), notes
	}
	if name == corev1.ResourceMemory && resourcehelper.IsPodLevelResourcesSet(p.Object) {
		if asked, ok := p.Object.Spec.Resources.Requests[name]; ok {
			used := bytes(p.Usage.Memory)
			fmt.Fprintf(&text, "Pod %s was using %s, request is %s, has larger consumption of %v. ", p.Object.Name, used, asked.String(), name)
			notes["offending_pod"], notes["offending_pod_usage"] = p.Object.Name, used.String()
		}
	}
	var names, uses []string
	for i := range p.Usage.Containers {
		u := &p.Usage.Containers[i]
		used := usedBy(name, u)
		asked, known := requestOf(p.Object, u.Name, name)
		if used == nil || !known || used.Cmp(asked) <= 0 {
			continue
		}
		fmt.Fprintf(&text, "Container %s was using %s, request is %s, has larger consumption of %v. ", u.Name, used, asked.String(), name)
		names, uses = append(names, u.Name), append(uses, used.String())
	}
	notes["offending_containers"], notes["offending_containers_usage"] = strings.Join(names, ","), strings.Join(uses, ",")
	notes["starved_resource"] = string(name)
	return text.String(), notes
}

func usedBy(name corev1.ResourceName, u *ContainerUsage) *resource.Quantity {
	switch name {
	case corev1.ResourceMemory:
		return bytes(u.Memory)
	case corev1.ResourceEphemeralStorage:
		return bytes(u.Root.Bytes + u.Logs.Bytes)
	}
	return nil
}

func requestOf(pod *corev1.Pod, container string, name corev1.ResourceName) (resource.Quantity, bool) {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == container {
				return list[i].Resources.Requests[name], true
			}
		}
	}
	return resource.Quantity{}, false
}
