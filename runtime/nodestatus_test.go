package runtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
	"writ/runtime/pressure"
	"writ/state"
)

func TestNodeStatus_StatedOnce(t *testing.T) {
	n := &corev1.Node{}
	n.Name = string(node)
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", n)
		settle()
		rec := g.world.World().Get(manifest.NodeRef(string(node)))
		s, ok := rec.Status.(*corev1.NodeStatus)
		if !ok {
			t.Fatal("no status was stated for a node that appeared")
		}
		if s.Addresses[0].Address != "192.0.2.1" || s.Capacity.Pods().Value() != 110 || s.Capacity.Memory().Cmp(*s.Allocatable.Memory()) <= 0 {
			t.Errorf("status is %v", s)
		}
		var why []string
		for _, c := range s.Conditions {
			why = append(why, c.Reason)
		}
		if last := why[len(why)-1]; last != "KubeletReady" || len(why) != 4 {
			t.Errorf("conditions are %v, want KubeletReady last", why)
		}
		before := rec.Revision
		after(time.Minute)
		if got := g.world.World().Get(manifest.NodeRef(string(node))).Revision; got != before {
			t.Errorf("node was stated again at %s although nothing changed, was %s", got, before)
		}
	})
}

// The record of a node whose manifest comes or goes is another one, in one Batch: it is told at once how the node is.
func TestNodeStatus_OfAnotherRecord(t *testing.T) {
	n := &corev1.Node{}
	n.Name = string(node)
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", n)
		settle()
		ref := manifest.NodeRef(string(node))
		old := g.world.World().Get(ref)
		g.world.decide(t, state.Batch{
			Adopt:   &state.Adoption{Commit: "c2"},
			Deletes: []state.Delete{{Ref: ref, UID: old.UID}},
			Puts:    []state.Put{{Ref: ref, Object: n, Origin: state.Derived}},
		})
		settle()
		if now := g.world.World().Get(ref); now.UID == old.UID || now.Status == nil {
			t.Errorf("the record %s took the place of %s and has status %v", now.UID, old.UID, now.Status)
		}
	})
}

func TestNodeStatus_Conditions(t *testing.T) {
	var told []string
	n := &nodeStatus{r: &Runtime{cfg: Config{Node: node}, record: func(e state.Event) { told = append(told, e.Reason+": "+e.Message) }}}
	look := func(at time.Duration, true ...corev1.NodeConditionType) string {
		var out []string
		list := n.conditions(true, noon.Add(at))
		n.last = &corev1.NodeStatus{Conditions: list}
		for _, c := range list {
			out = append(out, fmt.Sprintf("%s=%s %s (%s) %v", c.Type, c.Status, c.Reason, c.Message, c.LastTransitionTime.Sub(noon)))
		}
		return strings.Join(out, "\n")
	}
	fine := "MemoryPressure=False KubeletHasSufficientMemory (kubelet has sufficient memory available) 0s\n" +
		"DiskPressure=False KubeletHasNoDiskPressure (kubelet has no disk pressure) 0s\n" +
		"PIDPressure=False KubeletHasSufficientPID (kubelet has sufficient PID available) 0s\n" +
		"Ready=True KubeletReady (kubelet is posting ready status) 0s"
	for i, want := range []string{fine, fine,
		"MemoryPressure=True KubeletHasInsufficientMemory (kubelet has insufficient memory available) 2m0s\n" +
			"DiskPressure=True KubeletHasDiskPressure (kubelet has disk pressure) 2m0s\n" +
			"PIDPressure=True KubeletHasInsufficientPID (kubelet has insufficient PID available) 2m0s\n" +
			"Ready=True KubeletReady (kubelet is posting ready status) 0s"} {
		var bad []corev1.NodeConditionType
		if i == 2 {
			bad = []corev1.NodeConditionType{corev1.NodePIDPressure, corev1.NodeMemoryPressure, corev1.NodeDiskPressure}
		}
		if got := look(time.Duration(i)*time.Minute, bad...); got != want {
			t.Errorf("look %d gives\n%s\nwant\n%s", i, got, want)
		}
	}
	want := "NodeHasInsufficientMemory: Node NAME status is now: NodeHasInsufficientMemory\nNodeHasDiskPressure: Node NAME status is now: NodeHasDiskPressure\n" +
		"NodeHasInsufficientPID: Node NAME status is now: NodeHasInsufficientPID"
	if got := strings.ReplaceAll(strings.Join(told, "\n"), "Node "+string(node)+" ", "Node NAME "); got != want {
		t.Errorf("people were told\n%s\nwant\n%s", got, want)
	}
}

func TestAllocatable(t *testing.T) {
	capacity := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"), corev1.ResourcePods: resource.MustParse("110")}
	c, err := (&pressure.Settings{}).Parse()
	if err != nil {
		t.Fatal(err)
	}
	got := allocatable(capacity, corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("24Mi")}, &c)
	for name, want := range map[corev1.ResourceName]string{corev1.ResourceCPU: "1500m", corev1.ResourceMemory: "900Mi", corev1.ResourceEphemeralStorage: "90Gi", corev1.ResourcePods: "110"} {
		q := got[name]
		if q.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("%s is %s, want %s", name, q.String(), want)
		}
	}
}
