package schedule

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/state"
)

// node is a Node record with a status.
func nodeRecord(name string, change func(*corev1.Node, *corev1.NodeStatus)) *state.Record {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}, Spec: corev1.NodeSpec{PodCIDR: "10.244.0.0/24"}}
	s := &corev1.NodeStatus{
		Allocatable: corev1.ResourceList{
			corev1.ResourceCPU:              resource.MustParse("4"),
			corev1.ResourceMemory:           resource.MustParse("8Gi"),
			corev1.ResourceEphemeralStorage: resource.MustParse("10Gi"),
			corev1.ResourcePods:             resource.MustParse("110"),
		},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}
	if change != nil {
		change(n, s)
	}
	return &state.Record{Ref: manifest.NodeRef(name), UID: types.UID("node-" + name), Origin: state.Authored, Object: n, Status: s}
}

func podOf(name, cpu, memory string, change func(*corev1.Pod)) *corev1.Pod {
	requests := corev1.ResourceList{}
	if cpu != "" {
		requests[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		requests[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: requests}}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func podRecord(p *corev1.Pod, on state.Node) *state.Record {
	return &state.Record{Ref: manifest.PodRef(p.Namespace, p.Name), UID: types.UID(p.Name), Origin: state.Derived, Object: p, Node: on}
}

func indexOf(records ...*state.Record) *Index {
	x := NewIndex(state.NewWorld(uuid.Nil))
	for _, r := range records {
		x.Update([]state.Change{{Ref: r.Ref, New: r}})
	}
	return x
}

func TestPlace(t *testing.T) {
	gpu := corev1.Taint{Key: "dedicated", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}
	plain := nodeRecord("a", nil)
	tests := map[string]struct {
		nodes []*state.Record
		pods  []*state.Record
		pod   *corev1.Pod
		to    state.Node
		why   string
	}{
		"no nodes": {pod: podOf("p", "", "", nil), why: "no nodes available to schedule pods"},
		"fits":     {nodes: []*state.Record{plain}, pod: podOf("p", "4", "8Gi", nil), to: "a"},
		"no range of addresses": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.PodCIDR = "" })}, pod: podOf("p", "1", "", nil),
			why: "0/1 nodes are available: 1 node(s) had no range of pod addresses.",
		},
		"no range of addresses, and none wanted": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.PodCIDR = "" })},
			pod:   podOf("p", "1", "", func(p *corev1.Pod) { p.Spec.HostNetwork = true }), to: "a",
		},
		"too little cpu": {
			nodes: []*state.Record{plain}, pods: []*state.Record{podRecord(podOf("q", "3500m", "", nil), "a")},
			pod: podOf("p", "2", "", nil),
			why: "0/1 nodes are available: 1 Insufficient cpu (requested 2, free 500m).",
		},
		"too little of two, most free shown": {
			nodes: []*state.Record{plain, nodeRecord("b", func(_ *corev1.Node, s *corev1.NodeStatus) {
				s.Allocatable[corev1.ResourceCPU] = resource.MustParse("6")
			})},
			pod: podOf("p", "7", "9Gi", nil),
			why: "0/2 nodes are available: 2 Insufficient cpu (requested 7, free 6), 2 Insufficient memory (requested 9Gi, free 8Gi).",
		},
		"ended pods take nothing": {
			nodes: []*state.Record{plain},
			pods: []*state.Record{{
				Ref: manifest.PodRef("default", "q"), UID: "q", Object: podOf("q", "4", "", nil), Node: "a",
				Status: &corev1.PodStatus{Phase: corev1.PodSucceeded},
			}},
			pod: podOf("p", "2", "", nil), to: "a",
		},
		"init containers count": {
			nodes: []*state.Record{plain},
			pod: podOf("p", "1", "", func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("5")}}}}
			}),
			why: "0/1 nodes are available: 1 Insufficient cpu (requested 5, free 4).",
		},
		"too many pods": {
			nodes: []*state.Record{nodeRecord("a", func(_ *corev1.Node, s *corev1.NodeStatus) {
				s.Allocatable[corev1.ResourcePods] = resource.MustParse("1")
			})},
			pods: []*state.Record{podRecord(podOf("q", "", "", nil), "a")},
			pod:  podOf("p", "", "", nil), why: "0/1 nodes are available: 1 Too many pods.",
		},
		"selector": {
			nodes: []*state.Record{plain},
			pod:   podOf("p", "", "", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }),
			why:   "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
		},
		"selector matches one": {
			nodes: []*state.Record{plain, nodeRecord("b", nil)},
			pod:   podOf("p", "", "", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "b"} }),
			to:    "b",
		},
		"taint": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.Taints = []corev1.Taint{gpu} })},
			pod:   podOf("p", "", "", nil), why: "0/1 nodes are available: 1 node(s) had untolerated taint(s) {dedicated: gpu}.",
		},
		"tolerated": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.Taints = []corev1.Taint{gpu} })},
			pod: podOf("p", "", "", func(p *corev1.Pod) {
				p.Spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}
			}),
			to: "a",
		},
		"another value is not tolerated": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.Taints = []corev1.Taint{gpu} })},
			pod: podOf("p", "", "", func(p *corev1.Pod) {
				p.Spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Value: "cpu"}}
			}),
			why: "0/1 nodes are available: 1 node(s) had untolerated taint(s) {dedicated: gpu}.",
		},
		"prefer no schedule does not keep away": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) {
				n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectPreferNoSchedule}}
			})},
			pod: podOf("p", "", "", nil), to: "a",
		},
		"cordoned": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.Unschedulable = true })},
			pod:   podOf("p", "", "", nil), why: "0/1 nodes are available: 1 node(s) were unschedulable.",
		},
		"not ready": {
			nodes: []*state.Record{nodeRecord("a", func(_ *corev1.Node, s *corev1.NodeStatus) { s.Conditions = nil })},
			pod:   podOf("p", "", "", nil), why: "0/1 nodes are available: 1 node(s) had untolerated taint(s) {node.kubernetes.io/not-ready}.",
		},
		"named by its author": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) { n.Spec.Unschedulable = true }), nodeRecord("b", nil)},
			pod:   podOf("p", "", "", func(p *corev1.Pod) { p.Spec.NodeName = "a" }), to: "a",
		},
		"named, and would be driven out": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) {
				n.Spec.Taints = []corev1.Taint{gpu, {Key: "env", Value: "x", Effect: corev1.TaintEffectNoExecute}}
			})},
			pod: podOf("p", "", "", func(p *corev1.Pod) { p.Spec.NodeName = "a" }),
			why: "0/1 nodes are available: 1 node(s) had untolerated taint(s) {env: x}.",
		},
		"named, and tolerates what would drive it out": {
			nodes: []*state.Record{nodeRecord("a", func(n *corev1.Node, _ *corev1.NodeStatus) {
				n.Spec.Taints = []corev1.Taint{gpu, {Key: "env", Value: "x", Effect: corev1.TaintEffectNoExecute}}
			})},
			pod: podOf("p", "", "", func(p *corev1.Pod) {
				p.Spec.NodeName = "a"
				p.Spec.Tolerations = []corev1.Toleration{{Key: "env", Operator: corev1.TolerationOpExists}}
			}), to: "a",
		},
		"named and not there": {
			nodes: []*state.Record{plain},
			pod:   podOf("p", "", "", func(p *corev1.Pod) { p.Spec.NodeName = "z" }), why: `node "z" not found`,
		},
		"named, its port taken": {
			nodes: []*state.Record{plain, nodeRecord("b", nil)},
			pods:  []*state.Record{podRecord(podOf("q", "", "", hostPorts), "a")},
			pod:   podOf("p", "", "", func(p *corev1.Pod) { hostPorts(p); p.Spec.NodeName = "a" }),
			why:   "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 1 node(s) didn't match the requested node name.",
		},
		"named against its own selector": {
			nodes: []*state.Record{plain},
			pod: podOf("p", "", "", func(p *corev1.Pod) {
				p.Spec.NodeName, p.Spec.NodeSelector = "a", map[string]string{"disk": "ssd"}
			}),
			why: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
		},
		"host port of a sidecar": {
			nodes: []*state.Record{plain},
			pods:  []*state.Record{podRecord(podOf("q", "", "", sidecarPorts), "a")},
			pod:   podOf("p", "", "", hostPorts), why: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
		},
		"host port": {
			nodes: []*state.Record{plain},
			pods:  []*state.Record{podRecord(podOf("q", "", "", hostPorts), "a")},
			pod:   podOf("p", "", "", hostPorts), why: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
		},
		"the emptier node": {
			nodes: []*state.Record{plain, nodeRecord("b", nil)},
			pods:  []*state.Record{podRecord(podOf("q", "1", "1Gi", nil), "a")},
			pod:   podOf("p", "1", "1Gi", nil), to: "b",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			to, why := indexOf(append(test.nodes, test.pods...)...).Place(test.pod)
			if to != test.to || why != test.why {
				t.Errorf("place: got %q %q, want %q %q", to, why, test.to, test.why)
			}
			to, why = indexOf(append(test.pods, test.nodes...)...).Place(test.pod)
			if to != test.to || why != test.why {
				t.Errorf("pods learnt of first: got %q %q, want %q %q", to, why, test.to, test.why)
			}
		})
	}
}

func hostPorts(p *corev1.Pod) {
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80, Protocol: corev1.ProtocolTCP}}
}

func sidecarPorts(p *corev1.Pod) {
	always := corev1.ContainerRestartPolicyAlways
	p.Spec.InitContainers = []corev1.Container{{Name: "s", RestartPolicy: &always, Ports: []corev1.ContainerPort{{HostPort: 80, Protocol: corev1.ProtocolTCP}}}}
}

// What an Index has learnt does not depend on how often it was told.
func TestIndex_Idempotent(t *testing.T) {
	x := indexOf(nodeRecord("a", nil))
	pod := podOf("q", "3", "", nil)
	x.Assume("q", pod, "a")
	for range 3 {
		x.Update([]state.Change{{Ref: manifest.PodRef("default", "q"), New: podRecord(pod, "a")}})
	}
	if _, why := x.Place(podOf("p", "2", "", nil)); why != "0/1 nodes are available: 1 Insufficient cpu (requested 2, free 1)." {
		t.Errorf("one pod of 3 told four times: %s", why)
	}
	x.Update([]state.Change{{Ref: manifest.PodRef("default", "q"), Old: podRecord(pod, "a")}})
	if to, why := x.Place(podOf("p", "4", "", nil)); to != "a" {
		t.Errorf("after it is gone: %s", why)
	}
}

// A node of a far block is found although a search ends early, also once it was full.
func TestPlace_FindsTheOnlyRoom(t *testing.T) {
	var records []*state.Record
	for i := range 1000 {
		records = append(records, nodeRecord(fmt.Sprintf("n%04d", i), func(_ *corev1.Node, s *corev1.NodeStatus) {
			if i != 777 {
				s.Allocatable[corev1.ResourceCPU] = resource.MustParse("1")
			}
		}))
	}
	x := indexOf(records...)
	for i := range 3 {
		p := podOf(fmt.Sprint("p", i), "2", "", nil)
		to, why := x.Place(p)
		if want := state.Node("n0777"); i < 2 && to != want {
			t.Fatalf("pod %d: got %q %q, want %s", i, to, why, want)
		}
		if i < 2 {
			x.Assume(types.UID(p.Name), p, to)
		} else if to != "" {
			t.Fatalf("pod %d: got %q, want none", i, to)
		}
	}
	x.Update([]state.Change{{Ref: manifest.PodRef("default", "p0"), Old: &state.Record{UID: "p0"}}})
	if to, why := x.Place(podOf("p4", "2", "", nil)); to != "n0777" {
		t.Errorf("after one is gone: got %q %q", to, why)
	}
}

func BenchmarkPlace(b *testing.B) {
	const nodes = 5000
	var records []*state.Record
	for i := range nodes {
		records = append(records, nodeRecord(fmt.Sprintf("n%04d", i), func(_ *corev1.Node, s *corev1.NodeStatus) {
			s.Allocatable["hugepages-2Mi"], s.Allocatable["hugepages-1Gi"] = resource.MustParse("0"), resource.MustParse("0")
		}))
	}
	pods := make([]*corev1.Pod, 10000)
	for i := range pods {
		pods[i] = podOf(fmt.Sprintf("p%05d", i), "500m", "1Gi", nil)
	}
	for b.Loop() {
		b.StopTimer()
		x := indexOf(records...)
		b.StartTimer()
		for i, p := range pods {
			to, why := x.Place(p)
			if to == "" {
				b.Fatal(why)
			}
			x.Assume(types.UID(p.Name), p, to)
			_ = i
		}
	}
	b.ReportMetric(float64(len(pods)*b.N)/b.Elapsed().Seconds(), "pods/s")
}
