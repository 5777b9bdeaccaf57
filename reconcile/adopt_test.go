package reconcile_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

const web = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "img:1"}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: lone}, spec: {containers: [{name: c, image: "img:9"}]}}
`

func files(pairs ...string) fs.FS {
	tree := fstest.MapFS{}
	for i := 0; i+1 < len(pairs); i += 2 {
		tree[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return tree
}

// settle goes on until nothing changes.
func settle(t *testing.T, c *scenario.Cluster) {
	t.Helper()
	for range 100 {
		plan, err := c.Compute()
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := c.Observe("node-1")
		if err != nil {
			t.Fatal(err)
		}
		if plan.Empty() && b.Empty() {
			return
		}
	}
	t.Fatal("does not settle")
}

func mustCommit(t *testing.T, c *scenario.Cluster, tree fs.FS) {
	t.Helper()
	if _, err := c.Commit(tree, reconcile.Commit{}); err != nil {
		t.Fatal(err)
	}
	settle(t, c)
}

// identities is what must survive: every Pod and owner with its UID, node and address.
func identities(w *state.World) string {
	var b strings.Builder
	for r := range w.Records() {
		switch r.Ref.Kind {
		case "Pod", "Deployment", "ReplicaSet", "Service":
			if r.Origin != state.Builtin {
				fmt.Fprintln(&b, r.Ref, r.UID, r.Node, r.PodStatus().PodIP, r.Generation)
			}
		}
	}
	return b.String()
}

// After the store was lost, records restored from what runs are taken over by the first commit: no Pod
// ends, none is made, every identity stays.
func TestAdopt_TakesOverWhatWasRestored(t *testing.T) {
	c := scenario.NewCluster()
	mustCommit(t, c, files("web.yaml", web))
	before := identities(c.World)

	rebuilt := scenario.NewCluster()
	rebuilt.World = state.NewWorld(uuid.MustParse("00000000-0000-4000-8000-000000000002"))
	restore := state.Batch{Writer: state.WriterReconcile, Now: c.Now}
	for r := range c.World.Records() {
		switch r.Ref.Kind {
		case "Pod", "Deployment", "ReplicaSet", "Service":
		default:
			continue
		}
		origin := r.Origin
		switch origin {
		case state.Builtin:
			continue
		case state.Authored:
			origin = state.Restored
		}
		restore.Puts = append(restore.Puts, state.Put{
			Ref: r.Ref, UID: r.UID, Object: r.Object, Origin: origin, Node: r.Node, Status: r.Status,
			Allocation: r.Allocation, Created: r.Created, Generation: r.Generation,
		})
	}
	if _, err := rebuilt.Apply(restore); err != nil {
		t.Fatal(err)
	}
	if plan, err := rebuilt.Compute(); err != nil || !plan.Empty() {
		t.Fatalf("before the first adoption: %v\n%s", err, plan)
	}
	mustCommit(t, rebuilt, files("web.yaml", web))
	if diff := cmp.Diff(before, identities(rebuilt.World)); diff != "" {
		t.Errorf("identities -before +after:\n%s", diff)
	}
	for r := range rebuilt.World.Records() {
		if r.Origin == state.Restored {
			t.Errorf("%s is still restored", r.Ref)
		}
	}
}

// What was restored and is not declared any more is pruned.
func TestAdopt_PrunesWhatWasRestored(t *testing.T) {
	c := scenario.NewCluster()
	o := &corev1.ConfigMap{}
	o.Namespace, o.Name = "default", "old"
	_, err := c.Apply(state.Batch{Writer: state.WriterReconcile, Now: c.Now, Puts: []state.Put{{Ref: manifest.ConfigMapRef("default", "old"), Object: o, Origin: state.Restored}}})
	if err != nil {
		t.Fatal(err)
	}
	mustCommit(t, c, files("web.yaml", web))
	if c.World.Get(manifest.ConfigMapRef("default", "old")) != nil {
		t.Error("it is still there")
	}
}

func TestAdopt_MovingAFileChangesNothing(t *testing.T) {
	c := scenario.NewCluster()
	mustCommit(t, c, files("web.yaml", web))
	plan, err := c.Commit(files("deep/er/other.yaml", web), reconcile.Commit{Subject: "moved"})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Batch.Puts)+len(plan.Batch.Deletes) != 0 || plan.Batch.Adopt == nil {
		t.Errorf("plan of a moved file:\n%s", plan)
	}
	if item, _ := c.Set.Get(manifest.ServiceRef("default", "web")); item.Source.Path != "deep/er/other.yaml" {
		t.Errorf("source: got %v", item.Source)
	}
}

func TestAdopt_SameCommitAgain(t *testing.T) {
	c := scenario.NewCluster()
	mustCommit(t, c, files("web.yaml", web))
	a := c.World.Adopted()
	plan, err := reconcile.Adopt(c.World, c.Set, reconcile.Commit{Hash: a.Commit}, c.Now, c.Options)
	if err != nil || !plan.Empty() {
		t.Errorf("plan of the adopted commit: %v\n%s", err, plan)
	}
}

func TestAdopt_FixedSettings(t *testing.T) {
	c := scenario.NewCluster()
	cm := "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"
	settings := "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {podCIDR: 10.1.0.0/16, serviceCIDR: %s}\n"
	mustCommit(t, c, files("a.yaml", cm, "writ.yaml", fmt.Sprintf(settings, "10.97.0.0/16")))
	if got := c.World.Get(manifest.ServiceRef("kube-system", "kube-dns")).Allocation.ClusterIPs[0]; got != "10.97.0.10" {
		t.Errorf("address of kube-dns: got %s, want 10.97.0.10", got)
	}
	_, err := c.Commit(files("a.yaml", cm, "writ.yaml", fmt.Sprintf(settings, "10.98.0.0/16")), reconcile.Commit{})
	want := "writ.yaml: spec.serviceCIDR is fixed after the first adoption: it is 10.97.0.0/16 and cannot become 10.98.0.0/16"
	if err == nil || err.Error() != want {
		t.Errorf("changed range: got %v, want %s", err, want)
	}
}

// What a commit asks for must be in the ranges of the cluster, and not be what another Service was given
// and keeps.
func TestAdopt_Collisions(t *testing.T) {
	c := scenario.NewCluster()
	const service = "---\n{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {type: NodePort, %s selector: {a: b}, ports: [{port: 80%s}]}}\n"
	given := fmt.Sprintf(service, "given", "", "")
	mustCommit(t, c, files("a.yaml", given))
	a := c.World.Get(manifest.ServiceRef("default", "given")).Allocation
	ip, port := a.ClusterIPs[0], a.NodePorts["TCP/80"]
	asks := func(ip string, port int32) string {
		return fmt.Sprintf(service, "asks", "clusterIP: "+ip+",", fmt.Sprintf(", nodePort: %d", port))
	}
	tests := map[string]struct{ yaml, want string }{
		"an address that another keeps": {
			given + asks(ip, 30001),
			fmt.Sprintf(`a.yaml:4: Service/default/asks: spec.clusterIP: Invalid value: %q: provided IP is already allocated to Service/default/given`, ip),
		},
		"a port that another keeps": {
			given + asks("10.96.0.50", port),
			fmt.Sprintf(`a.yaml:4: Service/default/asks: spec.ports[0].nodePort: Invalid value: %d: provided port is already allocated to Service/default/given`, port),
		},
		"outside the ranges": {
			asks("10.0.0.1", 80),
			`a.yaml:2: Service/default/asks: spec.clusterIP: Invalid value: "10.0.0.1": the provided IP is not in the valid range 10.96.0.0/16
a.yaml:2: Service/default/asks: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767`,
		},
		"what another had that goes": {asks(ip, port), "<nil>"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			set, err := manifest.Load(files("a.yaml", test.yaml), nil)
			if err == nil {
				_, err = reconcile.Adopt(c.World, set, reconcile.Commit{Hash: "next"}, c.Now, c.Options)
			}
			if fmt.Sprint(err) != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// A Service without written address keeps the one it has when others come and go, and a rebuilt
// cluster gives it the same.
func TestAllocation_Stable(t *testing.T) {
	c := scenario.NewCluster()
	mustCommit(t, c, files("web.yaml", web))
	ip := c.World.Get(manifest.ServiceRef("default", "web")).Allocation.ClusterIPs
	many := web
	for i := range 300 {
		many += fmt.Sprintf("---\n{apiVersion: v1, kind: Service, metadata: {name: s%d}, spec: {type: NodePort, selector: {a: b}, ports: [{port: 80}, {name: x, port: 81}]}}\n", i)
	}
	many = strings.ReplaceAll(many, "ports: [{port: 80}, {", "ports: [{name: w, port: 80}, {")
	mustCommit(t, c, files("web.yaml", many))
	if got := c.World.Get(manifest.ServiceRef("default", "web")).Allocation.ClusterIPs; got[0] != ip[0] {
		t.Errorf("address: got %v, was %v", got, ip)
	}
	ips, ports := map[string]manifest.Ref{}, map[int32]manifest.Ref{}
	for r := range c.World.Services("") {
		for _, ip := range r.Allocation.ClusterIPs {
			if other, twice := ips[ip]; twice {
				t.Errorf("%s: both %s and %s", ip, other, r.Ref)
			}
			ips[ip] = r.Ref
		}
		for _, port := range r.Allocation.NodePorts {
			if other, twice := ports[port]; twice || port < 30000 || port > 32767 {
				t.Errorf("node port %d: both %s and %s", port, other, r.Ref)
			}
			ports[port] = r.Ref
		}
	}
	if len(ports) != 600 {
		t.Errorf("%d node ports, want 600", len(ports))
	}
	again := scenario.NewCluster()
	mustCommit(t, again, files("web.yaml", web))
	if got := again.World.Get(manifest.ServiceRef("default", "web")).Allocation.ClusterIPs; got[0] != ip[0] {
		t.Errorf("address in a rebuilt cluster: got %v, was %v", got, ip)
	}
}

// Every World that a Plan was computed from is the same afterwards, to the byte.
func TestPlan_ModifiesNothing(t *testing.T) {
	c := scenario.NewCluster()
	mustCommit(t, c, files("web.yaml", web))
	w, digest := c.World, dump(t, c.World)
	mustCommit(t, c, files("web.yaml", strings.ReplaceAll(web, "img:1", "img:2")))
	if diff := cmp.Diff(digest, dump(t, w)); diff != "" {
		t.Errorf("world -before +after a rollout of the next:\n%s", diff)
	}
}

func dump(t *testing.T, w *state.World) string {
	t.Helper()
	var b strings.Builder
	for r := range w.Records() {
		data, err := manifest.Encode(r.Full())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", r.Ref, data)
	}
	return b.String()
}
