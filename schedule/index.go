package schedule

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/state"
)

// blockSize is how many nodes share a summary of what is free, by which a search passes over them.
const blockSize = 64

// Index is the nodes of a cluster with what is free on each. The owner of an Index may change it; it
// is not safe for use by several at once.
type Index struct {
	names  []string // sorted
	nodes  []*node  // beside names
	byName map[string]*node
	blocks []amount // upper bound of what is free on any node of the block
	pods   map[types.UID]placed
	bound  map[types.UID]*bonds         // of Pods on a node, those that have rules for their company
	spaces map[string]map[string]string // labels of namespaces
	shy    int                          // nodes that would rather not have every Pod
	storage
	last  *corev1.Pod // that Place looked at, with its need: Assume mostly follows
	asked need
	stale bool // names, nodes and blocks have to be made again
}

// node is what placement looks at of one node.
type node struct {
	name   string
	at     int // place in Index.nodes
	object *corev1.Node
	taints []corev1.Taint // authored ones and those that conditions stand for
	shy    []corev1.Taint // those that only ask Pods to stay away
	known  bool           // false: Pods are bound to it, but there is no such Node
	total  amount
	used   amount
	scored amount // used, with upstream's assumption for Pods that request nothing
	ports  taken
}

type placed struct {
	node string
	need need
	person
}

// NewIndex is the Index of a World.
func NewIndex(w *state.World) *Index {
	x := &Index{byName: map[string]*node{}, pods: map[types.UID]placed{}, bound: map[types.UID]*bonds{}, spaces: map[string]map[string]string{}, storage: newStorage(w), stale: true}
	for r := range w.List("", "Namespace", "") {
		x.setNamespace(r.Ref.Name, r)
	}
	for r := range w.Nodes() {
		x.setNode(r.Ref.Name, r)
	}
	for r := range w.Pods("") {
		x.setPod(nil, r)
	}
	return x
}

// Update takes in what changed. Changes of kinds that placement does not look at are passed over.
func (x *Index) Update(changes []state.Change) {
	for _, c := range changes {
		switch {
		case c.Ref.Group != "":
			if c.Ref.Kind == "StorageClass" {
				x.setClass(c.Ref.Name, c.New)
			}
		case c.Ref.Kind == "Node":
			x.setNode(c.Ref.Name, c.New)
		case c.Ref.Kind == "Pod":
			x.setPod(c.Old, c.New)
		case c.Ref.Kind == "Namespace":
			x.setNamespace(c.Ref.Name, c.New)
		case c.Ref.Kind == "PersistentVolumeClaim":
			x.setClaim(c.Ref, c.New)
		case c.Ref.Kind == "PersistentVolume":
			x.setVolume(c.Ref.Name, c.New)
		}
	}
}

func (x *Index) setNamespace(name string, r *state.Record) {
	if r == nil || r.Object == nil {
		delete(x.spaces, name)
		return
	}
	x.spaces[name] = r.Object.GetLabels()
}

func (x *Index) setNode(name string, r *state.Record) {
	n := x.byName[name]
	if n == nil {
		if r == nil {
			return
		}
		n = &node{name: name}
		x.byName[name] = n
	}
	if len(n.shy) > 0 {
		x.shy--
	}
	n.shy = nil
	if r == nil || r.Object == nil {
		n.known, n.object, n.taints, n.total = false, nil, nil, amount{}
		x.forget(n)
		x.stale = true
		return
	}
	if !n.known {
		x.stale = true
	}
	n.known = true
	n.object, _ = r.Object.(*corev1.Node)
	if n.object != nil {
		if n.shy = shyTaints(n.object); len(n.shy) > 0 {
			x.shy++
		}
	}
	status, _ := r.Status.(*corev1.NodeStatus)
	n.taints = effectiveTaints(n.object, status)
	n.total = allocatable(status)
	x.loosen(n)
}

// forget drops a node that neither exists nor has Pods.
func (x *Index) forget(n *node) {
	if !n.known && n.used.empty() && n.scored.empty() {
		delete(x.byName, n.name)
	}
}

func (x *Index) setPod(old, next *state.Record) {
	if old != nil {
		x.remove(old.UID)
	}
	if next == nil {
		return
	}
	x.remove(next.UID) // it may be assumed already
	if next.Node == "" || ended(next) {
		return
	}
	if pod := next.Pod(); pod != nil {
		told := *pod
		told.Status = *next.PodStatus()
		x.add(next.UID, string(next.Node), needOf(&told), pod)
	}
}

// Assume counts a Pod as bound to a node before the World says so.
func (x *Index) Assume(uid types.UID, pod *corev1.Pod, to state.Node) {
	x.remove(uid)
	x.add(uid, string(to), x.needOf(pod), pod)
}

func (x *Index) needOf(pod *corev1.Pod) need {
	if x.last != pod {
		x.last, x.asked = pod, needOf(pod)
	}
	return x.asked
}

func (x *Index) add(uid types.UID, to string, need need, pod *corev1.Pod) {
	n := x.byName[to]
	if n == nil {
		n = &node{name: to}
		x.byName[to] = n
	}
	n.used.add(need.amount, 1)
	n.scored.add(need.scored, 1)
	if len(need.ports) > 0 && n.ports == nil {
		n.ports = taken{}
	}
	n.ports.add(need.ports)
	x.use(need.claims, 1)
	x.pods[uid] = placed{node: to, need: need, person: personOf(pod)}
	if b := bondsOf(pod); b != nil {
		x.bound[uid] = b
	}
}

func (x *Index) remove(uid types.UID) {
	p, ok := x.pods[uid]
	if !ok {
		return
	}
	delete(x.pods, uid)
	delete(x.bound, uid)
	n := x.byName[p.node]
	n.used.add(p.need.amount, -1)
	n.scored.add(p.need.scored, -1)
	n.ports.remove(p.need.ports)
	x.use(p.need.claims, -1)
	x.loosen(n)
	x.forget(n)
}

// loosen raises the summary of a node's block. It is an upper bound: binding leaves it alone, and a
// search that finds nothing in the block tightens it.
func (x *Index) loosen(n *node) {
	if x.stale || !n.known {
		return
	}
	x.blocks[n.at/blockSize].raise(n.free())
}

func (n *node) free() amount {
	f := n.total.copy()
	f.add(n.used, -1)
	return f
}

// settle makes the sorted list of nodes and the summaries again after nodes came or went.
func (x *Index) settle() {
	if !x.stale {
		return
	}
	x.names, x.nodes = x.names[:0], x.nodes[:0]
	for name, n := range x.byName {
		if n.known {
			x.names = append(x.names, name)
		}
	}
	slices.SortFunc(x.names, strings.Compare)
	x.blocks = make([]amount, (len(x.names)+blockSize-1)/blockSize)
	for i, name := range x.names {
		n := x.byName[name]
		n.at = i
		x.nodes = append(x.nodes, n)
		x.blocks[i/blockSize].raise(n.free())
	}
	x.stale = false
}

// ended says that a Pod takes no resources of its node any more.
func ended(r *state.Record) bool {
	phase := r.PodStatus().Phase
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}
