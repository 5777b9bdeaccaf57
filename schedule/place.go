package schedule

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"writ/state"
)

// enough is how many nodes that can take a Pod are scored before the search ends. The search starts
// at a place given by the Pod's name, so that Pods spread over a large cluster.
const enough = 64

// Place names the node for a Pod, which is neither bound nor reserved by that; Assume does so. With
// no node it says why, as a sentence for people.
func (x *Index) Place(pod *corev1.Pod) (to state.Node, why string) {
	x.settle()
	q := question{pod: pod, need: x.needOf(pod), affinity: nodeaffinity.GetRequiredNodeAffinity(pod), company: x.companyOf(pod)}
	q.wishes, q.wants = x.wishesOf(pod, q.company), x.wantsOf(pod, q.need.claims)
	if q.wants != nil && q.wants.why != "" {
		return "", fmt.Sprintf("0/%d nodes are available: %s.", len(x.nodes), q.wants.why)
	}
	if len(pod.Spec.NodeSelector) == 0 && (pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil) {
		q.anyLabels = true
	}
	if name := pod.Spec.NodeName; name != "" {
		n := x.byName[name]
		if n == nil || !n.known {
			return "", `node "` + name + `" not found`
		}
		if q.named(n) == nil && q.room(n) == nil { // who names the node passes by taints that only keep others from coming, as upstream's kubelet
			return state.Node(name), ""
		}
		return "", x.explain(&q)
	}
	if found := x.search(&q); found != nil {
		return state.Node(found.name), ""
	}
	return "", x.explain(&q)
}

// candidates are the nodes that are looked at where the Pod names them; nil: all.
func (x *Index) candidates(q *question) []*node {
	if q.anyLabels {
		return nil
	}
	names := namedNodes(q.pod)
	if names == nil {
		return nil
	}
	few := make([]*node, 0, len(names))
	for _, name := range names {
		if n := x.byName[name]; n != nil && n.known && !slices.Contains(few, n) {
			few = append(few, n)
		}
	}
	slices.SortFunc(few, func(a, b *node) int { return cmp.Compare(a.at, b.at) })
	return few
}

// question is one Pod with what is worked out once for all nodes.
type question struct {
	pod       *corev1.Pod
	need      need
	affinity  nodeaffinity.RequiredNodeAffinity
	anyLabels bool // neither nodeSelector nor node affinity
	company   *company
	wishes    *wishes
	wants     *wants
}

func (x *Index) search(q *question) *node {
	if len(x.nodes) == 0 {
		return nil
	}
	var c choice
	if few := x.candidates(q); few != nil {
		for _, n := range few {
			c.consider(n, n.free(), q)
		}
		return c.best()
	}
	first := start(q.pod, len(x.blocks))
	for i := range x.blocks {
		b := (first + i) % len(x.blocks)
		if !x.blocks[b].fits(q.need.amount) {
			continue
		}
		here := x.nodes[b*blockSize : min((b+1)*blockSize, len(x.nodes))]
		var bound amount
		for _, n := range here {
			free := n.free()
			bound.raise(free)
			c.consider(n, free, q)
		}
		x.blocks[b] = bound
		if c.found >= enough {
			break
		}
	}
	return c.best()
}

// choice is the best of the nodes that were considered.
type choice struct {
	found int
	top   *node
	most  int64
	all   []candidate // where more than room tells nodes apart
}

func (c *choice) consider(n *node, free amount, q *question) {
	if !free.fits(q.need.amount) || q.refuses(n) != nil || q.company.refuses(n) != "" {
		return
	}
	c.found++
	if q.wishes != nil {
		c.all = append(c.all, q.wishes.of(n, q))
	} else if s := score(n, q); c.top == nil || s > c.most {
		c.top, c.most = n, s
	}
}

func (c *choice) best() *node {
	if len(c.all) > 0 {
		return best(c.all)
	}
	return c.top
}

func start(pod *corev1.Pod, blocks int) int {
	if blocks < 2 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(pod.Namespace))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(pod.Name))
	return int(h.Sum32() % uint32(blocks))
}

// score is upstream's least allocated plus balanced allocation, 0 to 200. Equal scores leave the
// node found first.
func score(n *node, q *question) int64 {
	cpu := left(n.total.cpu, n.scored.cpu+q.need.scored.cpu)
	memory := left(n.total.memory, n.scored.memory+q.need.scored.memory)
	apart := cpu - memory
	if apart < 0 {
		apart = -apart
	}
	return (cpu+memory)/2 + 100 - apart/2
}

// left is the percentage that stays free.
func left(total, used int64) int64 {
	if total <= 0 || used >= total {
		return 0
	}
	return int64(float64(total-used) * 100 / float64(total))
}
