package runtime

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
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

func TestNodeStatus_Conditions(t *testing.T) {
	fine := measured{memoryAvailable: 1 << 30, disk: 100, diskFree: 50, inodes: 100, inodesFree: 50, pids: 1000, pidsUsed: 10}
	for _, tt := range []struct {
		name   string
		change func(*measured)
		want   corev1.NodeConditionType
		reason string
	}{
		{"memory", func(m *measured) { m.memoryAvailable = 1 << 20 }, corev1.NodeMemoryPressure, "KubeletHasInsufficientMemory"},
		{"disk", func(m *measured) { m.diskFree = 5 }, corev1.NodeDiskPressure, "KubeletHasDiskPressure"},
		{"inodes", func(m *measured) { m.inodesFree = 1 }, corev1.NodeDiskPressure, "KubeletHasDiskPressure"},
		{"pids", func(m *measured) { m.pidsUsed = 950 }, corev1.NodePIDPressure, "KubeletHasInsufficientPID"},
	} {
		n := newNodeStatus(nil)
		m := fine
		tt.change(&m)
		for _, c := range n.conditions(m, noon) {
			if c.Type == tt.want && (c.Status != corev1.ConditionTrue || c.Reason != tt.reason) {
				t.Errorf("%s: %s is %s (%s), want True (%s)", tt.name, c.Type, c.Status, c.Reason, tt.reason)
			}
			if c.Type != tt.want && c.Type != corev1.NodeReady && c.Status != corev1.ConditionFalse {
				t.Errorf("%s: %s is %s, want False", tt.name, c.Type, c.Status)
			}
		}
		for at, want := range map[time.Duration]corev1.ConditionStatus{time.Minute: corev1.ConditionTrue, 6 * time.Minute: corev1.ConditionFalse} {
			for _, c := range n.conditions(fine, noon.Add(at)) {
				if c.Type == tt.want && c.Status != want {
					t.Errorf("%s: %s is %s %v after it ended, want %s", tt.name, c.Type, c.Status, at, want)
				}
			}
		}
	}
}

func TestAllocatable(t *testing.T) {
	capacity := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"), corev1.ResourcePods: resource.MustParse("110")}
	got := allocatable(capacity, corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")})
	for name, want := range map[corev1.ResourceName]string{corev1.ResourceCPU: "1500m", corev1.ResourceMemory: "924Mi", corev1.ResourceEphemeralStorage: "90Gi", corev1.ResourcePods: "110"} {
		q := got[name]
		if q.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("%s is %s, want %s", name, q.String(), want)
		}
	}
}
