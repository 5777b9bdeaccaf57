package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

func rangesOf(w *state.World) string {
	var b strings.Builder
	for r := range w.Nodes() {
		fmt.Fprintf(&b, "%s=%s ", r.Ref.Name, r.Object.(*corev1.Node).Spec.PodCIDR)
	}
	return strings.TrimSpace(b.String())
}

const settingsYAML = "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {podCIDR: %s}\n"

func TestNode_RangeOfTheOnlyOne(t *testing.T) {
	for whole, want := range map[string]string{
		"10.244.0.0/16": "node-1=10.244.0.0/20", "172.16.0.0/12": "node-1=172.16.0.0/20", "10.1.0.0/20": "node-1=10.1.0.0/21",
		"10.1.2.0/24": "node-1=10.1.2.0/25", "10.1.2.16/28": "node-1=10.1.2.16/29",
	} {
		c := scenario.NewCluster()
		mustCommit(t, c, files("a.yaml", web, "writ.yaml", fmt.Sprintf(settingsYAML, whole)))
		if got := rangesOf(c.World); got != want {
			t.Errorf("of %s: got %s, want %s", whole, got, want)
		}
	}
}

// A node that registers while the first adoption is suspended has its range with that.
func TestNode_RangeOfOneThatWaited(t *testing.T) {
	c := scenario.NewCluster()
	waiting := "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {suspend: {reason: later}}\n"
	if _, err := c.Commit(files("a.yaml", web, "writ.yaml", waiting), reconcile.Commit{}); err != nil {
		t.Fatal(err)
	}
	if got := rangesOf(c.World); got != "node-1=" {
		t.Fatalf("before the settings are known: got %s", got)
	}
	mustCommit(t, c, files("a.yaml", web, "writ.yaml", fmt.Sprintf(settingsYAML, "172.16.0.0/12")))
	if got, want := rangesOf(c.World), "node-1=172.16.0.0/20"; got != want {
		t.Errorf("after the adoption: got %s, want %s", got, want)
	}
}

// Declared nodes get ranges of their own also when they come in one commit, beside the written ones
// and that of the node that was alone before, which it keeps.
func TestNode_RangesDoNotOverlap(t *testing.T) {
	const node = "---\n{apiVersion: v1, kind: Node, metadata: {name: %s}, spec: {podCIDR: %q}}\n"
	c := scenario.NewCluster()
	mustCommit(t, c, files("a.yaml", web))
	nodes := fmt.Sprintf(node, "a", "") + fmt.Sprintf(node, "b", "10.244.17.0/24") + fmt.Sprintf(node, "c", "") + fmt.Sprintf(node, "node-1", "")
	nodes = strings.ReplaceAll(nodes, `, spec: {podCIDR: ""}`, "")
	mustCommit(t, c, files("a.yaml", web, "nodes.yaml", nodes))
	want := "a=10.244.16.0/24 b=10.244.17.0/24 c=10.244.18.0/24 node-1=10.244.0.0/20"
	if got := rangesOf(c.World); got != want {
		t.Errorf("ranges: got %s, want %s", got, want)
	}
	mustCommit(t, c, files("a.yaml", web, "nodes.yaml", strings.ReplaceAll(nodes, "{name: c}", "{name: d}")))
	if got, want := rangesOf(c.World), strings.ReplaceAll(want, "c=", "d="); got != want && got != strings.ReplaceAll(want, "d=10.244.18", "d=10.244.19") {
		t.Errorf("ranges after one was replaced: got %s", got)
	}
}

// What a change of a node's zone wakes is what shows the zone.
func TestWakes_Zone(t *testing.T) {
	c := scenario.NewCluster()
	mustCommit(t, c, files("a.yaml", web))
	memory := reconcile.NewMemory(c.Options)
	first, err := memory.Plan(c.World, c.Now)
	if err != nil || !first.Empty() {
		t.Fatalf("before: %v, %s", err, first)
	}
	memory.Keep(&first)
	r := c.World.Get(manifest.NodeRef("node-1"))
	n := r.Object.(*corev1.Node).DeepCopy()
	n.Labels[corev1.LabelTopologyZone] = "west"
	changes, err := c.Apply(state.Batch{Writer: state.WriterReconcile, Now: c.Now, Puts: []state.Put{{Ref: r.Ref, Object: n, Origin: state.Derived}}})
	if err != nil {
		t.Fatal(err)
	}
	memory.Learn(c.World, changes, 0)
	few, err := memory.Plan(c.World, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	full, err := reconcile.Compute(c.World, c.Now, c.Options)
	if err != nil || full.Empty() || few.String() != full.String() {
		t.Errorf("after a change of the zone: %v\nincremental\n%sfull\n%s", err, few, full)
	}
}

// A Service that found the range full gets its address once another is gone.
func TestAllocation_WaitsForRoom(t *testing.T) {
	const settings = "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {serviceCIDR: 10.97.0.0/28, nodePorts: 30000-30000}\n"
	service := func(name string) string {
		return fmt.Sprintf("---\n{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {type: NodePort, selector: {a: b}, ports: [{port: 80}]}}\n", name)
	}
	c := scenario.NewCluster()
	m := reconcile.NewMemory(c.Options)
	commit := func(hash string, names ...string) {
		t.Helper()
		var all strings.Builder
		for _, n := range names {
			all.WriteString(service(n))
		}
		set, err := manifest.Load(files("a.yaml", all.String(), "writ.yaml", settings), nil)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := m.Adopt(c.World, set, reconcile.Commit{Hash: hash}, c.Now)
		if err != nil {
			t.Fatal(err)
		}
		m.Keep(&plan)
		m.SetSet(set)
		changes, err := c.Apply(plan.Batch)
		if err != nil {
			t.Fatal(err)
		}
		m.Learn(c.World, changes, c.World.Revision())
	}
	var names []string
	for i := range 13 { // 14 addresses, two of them given by convention
		names = append(names, fmt.Sprintf("s%02d", i))
	}
	commit("one", names...)
	without := func() (addresses, ports []string) {
		for _, n := range names {
			if r := c.World.Get(manifest.ServiceRef("default", n)); r != nil && len(r.Allocation.ClusterIPs) == 0 {
				addresses = append(addresses, n)
			} else if r != nil && len(r.Allocation.NodePorts) == 0 {
				ports = append(ports, n)
			}
		}
		return addresses, ports
	}
	if addresses, ports := without(); len(addresses) != 1 || len(ports) != 11 || len(m.Notes()) != 13 {
		t.Fatalf("without address: %v, without port: %v, notes: %v", addresses, ports, m.Notes())
	}
	commit("two", names[1:]...) // the first one had the port, too
	if addresses, ports := without(); len(addresses) != 0 || len(ports) != 11 || len(m.Notes()) != 11 {
		t.Errorf("after one is gone without address: %v, without port: %v, notes: %v", addresses, ports, m.Notes())
	}
}
