package reconcile

import (
	"cmp"
	"container/heap"

	"writ/manifest"
)

// Concern is one thing that is computed for an object. The order is that of computation: what comes
// later builds on what comes earlier.
type Concern uint8

const (
	builtins Concern = iota + 1
	registration
	allocation
	autoscaling
	cronJobs
	rollout
	statefulSets
	daemonSets
	jobs
	replicas
	pods
	drains // after all that takes Pods away without asking: what is left to budgets is known then
	copies
	claims
	volumes
	placement
	endpoints
	mirrors
	replicaSetStatus
	deploymentStatus
	statefulSetStatus
	daemonSetStatus
	claimStatus
	volumeStatus
	budgets
	namespaces
	revisions
)

func (c Concern) String() string {
	names := [...]string{"", "builtins", "registration", "allocation", "autoscaling", "cronjobs",
		"rollout", "statefulsets", "daemonsets", "jobs", "replicas", "pods", "drains", "copies", "claims", "volumes", "placement",
		"endpoints", "mirrors", "replicaset status", "deployment status", "statefulset status", "daemonset status",
		"claim status", "volume status", "budgets", "namespaces", "revisions"}
	if int(c) >= len(names) {
		return "unknown"
	}
	return names[c]
}

// Key is a concern about one object; of concerns that are about the whole cluster Ref is zero.
type Key struct {
	Concern Concern
	Ref     manifest.Ref
}

func (k Key) String() string {
	if k.Ref.Kind == "" {
		return k.Concern.String()
	}
	return k.Concern.String() + " of " + k.Ref.String()
}

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Concern, o.Concern), k.Ref.Compare(o.Ref))
}

// queue hands out keys in order, each once however often it was added meanwhile.
type queue struct {
	keys    keyHeap
	waiting map[Key]bool
}

func newQueue() queue { return queue{waiting: map[Key]bool{}} }

func (q *queue) add(k Key) {
	if !q.waiting[k] {
		q.waiting[k] = true
		heap.Push(&q.keys, k)
	}
}

func (q *queue) next() (Key, bool) {
	if len(q.keys) == 0 {
		return Key{}, false
	}
	k := heap.Pop(&q.keys).(Key)
	delete(q.waiting, k)
	return k, true
}

type keyHeap []Key

func (h keyHeap) Len() int           { return len(h) }
func (h keyHeap) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }
func (h keyHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *keyHeap) Push(x any)        { *h = append(*h, x.(Key)) }
func (h *keyHeap) Pop() any {
	old := *h
	k := old[len(old)-1]
	*h = old[:len(old)-1]
	return k
}
