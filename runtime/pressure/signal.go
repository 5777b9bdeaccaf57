package pressure

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Signal is something of which a node may have too little, in the kubelet's words.
type Signal string

// The signals, in the order in which their shortage is met. containerfs.available and containerfs.inodesFree
// are accepted in settings and follow nodefs or imagefs, wherever containers are, as in the kubelet.
const (
	MemoryAvailable       Signal = "memory.available"
	NodeFsAvailable       Signal = "nodefs.available"
	NodeFsInodesFree      Signal = "nodefs.inodesFree"
	ImageFsAvailable      Signal = "imagefs.available"
	ImageFsInodesFree     Signal = "imagefs.inodesFree"
	ContainerFsAvailable  Signal = "containerfs.available"
	ContainerFsInodesFree Signal = "containerfs.inodesFree"
	PIDAvailable          Signal = "pid.available"
)

var order = []Signal{MemoryAvailable, NodeFsAvailable, NodeFsInodesFree, ImageFsAvailable, ImageFsInodesFree, ContainerFsAvailable, ContainerFsInodesFree, PIDAvailable}

// Resources that are counted on a node and that no Pod asks for, in upstream's words.
const (
	Inodes corev1.ResourceName = "inodes"
	PIDs   corev1.ResourceName = "pids"
)

// Resource is what a signal is about.
func (s Signal) Resource() corev1.ResourceName {
	switch s {
	case MemoryAvailable:
		return corev1.ResourceMemory
	case PIDAvailable:
		return PIDs
	case NodeFsInodesFree, ImageFsInodesFree, ContainerFsInodesFree:
		return Inodes
	}
	return corev1.ResourceEphemeralStorage
}

// Condition is the node's condition that a shortage of the signal makes true.
func (s Signal) Condition() corev1.NodeConditionType {
	switch s.Resource() {
	case corev1.ResourceMemory:
		return corev1.NodeMemoryPressure
	case PIDs:
		return corev1.NodePIDPressure
	}
	return corev1.NodeDiskPressure
}

func (s Signal) known() bool { return slices.Contains(order, s) }

func (s Signal) quantity(n int64) *resource.Quantity {
	if r := s.Resource(); r == Inodes || r == PIDs {
		return resource.NewQuantity(n, resource.DecimalSI)
	}
	return resource.NewQuantity(n, resource.BinarySI)
}

// Level is how much of something there is.
type Level struct{ Available, Capacity int64 }

// Levels are the node's numbers now. A signal that could not be measured is missing and meets no threshold.
type Levels map[Signal]Level

// Value is a quantity, or a part of the capacity.
type Value struct {
	Quantity *resource.Quantity
	Part     float64 // of the capacity, 0 to 1; looked at without a Quantity
}

func (v Value) of(capacity int64) int64 {
	if v.Quantity != nil {
		return v.Quantity.Value()
	}
	return int64(float64(capacity) * v.Part)
}

// Threshold is met while there is less than Below. A soft one has a Grace, for which it is to be met.
type Threshold struct {
	Signal     Signal
	Below      Value
	Grace      time.Duration
	MinReclaim Value // more than Below that has to be there before a shortage is over
}

func (t *Threshold) hard() bool { return t.Grace == 0 }

// met says that a threshold is met; with reclaim, that the shortage is not over.
func (t *Threshold) met(l Levels, reclaim bool) bool {
	level, ok := l[t.Signal]
	if !ok {
		return false
	}
	below := t.Below.of(level.Capacity)
	if reclaim {
		below += t.MinReclaim.of(level.Capacity)
	}
	return level.Available < below
}
