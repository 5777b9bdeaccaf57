package pressure

import (
	corev1 "k8s.io/api/core/v1"
)

// Use is what something takes of a filesystem.
type Use struct{ Bytes, Inodes int64 }

func (u Use) plus(o Use) Use { return Use{Bytes: u.Bytes + o.Bytes, Inodes: u.Inodes + o.Inodes} }

// ContainerUsage is what one container takes. Memory is its working set in bytes, Root its writable layer.
type ContainerUsage struct {
	Name       string
	Memory     int64
	Root, Logs Use
}

// Usage is what one Pod takes: Memory is the working set of all of it, in bytes; Volumes are those that lie on
// the node's disk and go with the Pod, by name.
type Usage struct {
	Memory, PIDs int64
	Containers   []ContainerUsage
	Volumes      map[string]Use
}

// disk is all that a Pod takes of the node's disk.
func (u *Usage) disk() Use {
	var all Use
	for i := range u.Containers {
		all = all.plus(u.Containers[i].Root).plus(u.Containers[i].Logs)
	}
	for _, v := range u.Volumes {
		all = all.plus(v)
	}
	return all
}

// Pod is one Pod of the node.
type Pod struct {
	Object *corev1.Pod
	// Usage is nil where it was not or could not be measured.
	Usage *Usage
	// Ending says that it was evicted already: it is no candidate.
	Ending bool
}

// systemCritical is the priority from which on the system rests on a Pod (system-cluster-critical).
const systemCritical = 2_000_000_000

// Critical says that a Pod is never evicted.
func Critical(pod *corev1.Pod) bool { return priority(pod) >= systemCritical }

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

// OnDisk says that a volume lies on the node's disk and goes with its Pod.
func OnDisk(v *corev1.Volume) bool {
	return v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumDefault || v.ConfigMap != nil
}
