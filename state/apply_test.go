package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
)

func podPut(name, image string) Put {
	return Put{Ref: manifest.PodRef("shop", name), Origin: Derived, Object: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}}}}
}

func deploymentPut(replicas int32, origin Origin) Put {
	return Put{Ref: manifest.DeploymentRef("shop", "web"), Origin: origin, Object: &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas}}}
}

// reconcile is a Batch computed on w.
func reconcile(w *World, puts ...Put) Batch {
	return Batch{Writer: WriterReconcile, Base: w.Revision(), Now: start, Puts: puts}
}

func apply(t *testing.T, w *World, b Batch) *World {
	t.Helper()
	next, _, err := Apply(w, b, w.Revision()+1)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return next
}

// cluster with an adopted commit, an authored Deployment, and a Pod on each of two nodes.
func example(t *testing.T) *World {
	w := WithRevision(NewWorld(cluster), FirstOf(1))
	b := reconcile(w, deploymentPut(2, Authored), podPut("a", "shop:1"), podPut("b", "shop:1"),
		Put{Ref: manifest.NodeRef("node-1"), Origin: Derived, Object: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}},
		Put{Ref: manifest.ServiceRef("shop", "web"), Origin: Authored, Object: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"}}})
	b.Puts[1].Node, b.Puts[2].Node = "node-1", "node-2"
	b.Adopt = &Adoption{Commit: "c1", Adopted: start}
	return apply(t, w, b)
}

func TestApply_Rules(t *testing.T) {
	a, web, node := manifest.PodRef("shop", "a"), manifest.DeploymentRef("shop", "web"), manifest.NodeRef("node-1")
	old := manifest.ConfigMapRef("shop", "old")
	running := &corev1.PodStatus{Phase: corev1.PodRunning}
	for name, c := range map[string]struct {
		batch Batch
		moved bool
		same  bool   // nothing is changed
		want  string // in the error; empty for none
	}{
		"decision":                    {batch: Batch{Writer: WriterReconcile, Puts: []Put{podPut("c", "shop:1")}}},
		"right commit":                {batch: Batch{Writer: WriterReconcile, Commit: "c1", Puts: []Put{podPut("c", "shop:1")}}},
		"other commit":                {batch: Batch{Writer: WriterReconcile, Commit: "c0"}, moved: true, want: "it rests on commit c0, adopted is c1"},
		"unknown writer":              {batch: Batch{Writer: "me"}, want: `unknown writer "me"`},
		"node decides":                {batch: Batch{Writer: "node/node-1", Puts: []Put{podPut("c", "x")}}, want: "a node only observes"},
		"node binds":                  {batch: Batch{Writer: "node/node-1", Puts: []Put{{Ref: a, Node: "node-1"}}}, want: "a node only observes"},
		"node deletes":                {batch: Batch{Writer: "node/node-1", Deletes: []Delete{{Ref: a}}}, want: "a node only observes"},
		"node about itself":           {batch: Batch{Writer: "node/node-1", Puts: []Put{{Ref: node, Routed: 7}}}},
		"node about another":          {batch: Batch{Writer: "node/node-2", Puts: []Put{{Ref: node, Routed: 7}}}, want: "node/node-2 has no say about it"},
		"node about a Deployment":     {batch: Batch{Writer: "node/node-1", Puts: []Put{{Ref: web, Status: running}}}, want: "has no say"},
		"reconcile about routing":     {batch: Batch{Writer: WriterReconcile, Puts: []Put{{Ref: node, Routed: 7}}}, want: "observed by its node"},
		"authored without adoption":   {batch: Batch{Writer: WriterReconcile, Puts: []Put{deploymentPut(3, Authored)}}, want: "only an adoption puts what is authored"},
		"delete authored":             {batch: Batch{Writer: WriterReconcile, Deletes: []Delete{{Ref: web}}}, want: "only an adoption deletes what is authored"},
		"adoption deletes authored":   {batch: Batch{Writer: WriterReconcile, Adopt: &Adoption{Commit: "c2"}, Deletes: []Delete{{Ref: web}}}},
		"delete nothing":              {batch: Batch{Writer: WriterReconcile, Deletes: []Delete{{Ref: manifest.PodRef("shop", "z")}}}, moved: true, want: "no such object"},
		"delete another incarnation":  {batch: Batch{Writer: WriterReconcile, Deletes: []Delete{{Ref: a, UID: "old"}}}, moved: true, want: `uid "old"`},
		"decide another incarnation":  {batch: Batch{Writer: WriterReconcile, Puts: []Put{{Ref: a, UID: "old", Status: running}}}, moved: true, want: `uid "old"`},
		"observe another incarnation": {batch: Batch{Writer: "node/node-1", Puts: []Put{{Ref: a, UID: "old", Status: running}}}},
		"observe a Pod of another":    {batch: Batch{Writer: "node/node-2", Puts: []Put{{Ref: a, Status: running}}}, same: true},
		"observe a Pod of its own":    {batch: Batch{Writer: "node/node-1", Puts: []Put{{Ref: a, Status: running}}}},
		"a Pod of another group":      {batch: Batch{Writer: "node/node-1", Puts: []Put{{Ref: manifest.Ref{Group: "example.com", Kind: "Pod", Name: "a"}, Status: running}}}, want: "has no say"},
		"derive what is authored":     {batch: Batch{Writer: WriterReconcile, Puts: []Put{deploymentPut(3, Derived)}}, want: "only an adoption takes over what is authored"},
		"delete restored":             {batch: Batch{Writer: WriterReconcile, Deletes: []Delete{{Ref: old}}}, want: "only an adoption deletes what is restored"},
		"adoption deletes restored":   {batch: Batch{Writer: WriterReconcile, Adopt: &Adoption{Commit: "c2"}, Deletes: []Delete{{Ref: old}}}},
		"observe nothing":             {batch: Batch{Writer: "node/node-1", Puts: []Put{{Ref: manifest.PodRef("shop", "z"), Status: running}}}},
		"decide nothing":              {batch: Batch{Writer: WriterReconcile, Puts: []Put{{Ref: manifest.PodRef("shop", "z"), Node: "n"}}}, moved: true, want: "no such object"},
		"status without a number":     {batch: Batch{Writer: WriterReconcile, Puts: []Put{{Ref: web, Status: &corev1.ResourceQuotaStatus{}}}}, want: "cannot be stored"},
	} {
		t.Run(name, func(t *testing.T) {
			w := example(t)
			w = apply(t, w, reconcile(w, Put{Ref: old, Origin: Restored, Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "old", Namespace: "shop"}}}))
			was := digest(t, w)
			next, changes, err := Apply(w, c.batch, w.Revision()+1)
			if digest(t, w) != was {
				t.Fatal("the World was changed")
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if errors.Is(err, ErrMoved) != c.moved {
				t.Errorf("error %v: ErrMoved %v, want %v", err, !c.moved, c.moved)
			}
			if c.same && len(changes) > 0 {
				t.Errorf("changes %+v, want none", changes)
			}
			if err != nil && (next != nil || changes != nil) {
				t.Error("a refused Batch gave a World")
			}
		})
	}
	w := example(t)
	if _, _, err := Apply(w, reconcile(w), w.Revision()); err == nil {
		t.Error("a revision that does not grow was taken")
	}
}

func TestApply_RefusesWhole(t *testing.T) {
	w := example(t)
	b := reconcile(w, podPut("c", "shop:1"), Put{Ref: manifest.PodRef("shop", "z"), Node: "n"})
	if _, _, err := Apply(w, b, w.Revision()+1); err == nil {
		t.Fatal("no error")
	}
	if w.Get(manifest.PodRef("shop", "c")) != nil {
		t.Error("half of the Batch is true")
	}
}

func TestApply_Identity(t *testing.T) {
	w := example(t)
	a := w.Get(manifest.PodRef("shop", "a"))
	if want := UIDOf(cluster, a.Ref, FirstOf(1)); a.UID != want || a.Generation != 1 || !a.Created.Equal(start.Truncate(time.Second)) || a.Commit != "c1" || a.Revision != w.Revision() {
		t.Errorf("born as %+v", a)
	}
	b := reconcile(w, podPut("a", "shop:1"))
	b.Deletes = []Delete{{Ref: a.Ref, UID: a.UID}}
	next, changes, err := Apply(w, b, w.Revision()+1)
	if err != nil {
		t.Fatal(err)
	}
	again := next.Get(a.Ref)
	if again.UID == a.UID || again.Node != "" || again.Generation != 1 {
		t.Errorf("deleted and made again as %+v; want a new object", again)
	}
	if len(changes) != 1 || changes[0].Old != a || changes[0].New != again {
		t.Errorf("changes %+v; want one from the old to the new", changes)
	}
	restored := podPut("r", "shop:1")
	restored.UID, restored.Origin, restored.Created, restored.Generation = "kept", Restored, start.Add(-time.Hour), 4
	r := apply(t, w, reconcile(w, restored)).Get(restored.Ref)
	if r.UID != "kept" || r.Generation != 4 || !r.Created.Equal(start.Add(-time.Hour)) || r.Origin != Restored {
		t.Errorf("restored as %+v", r)
	}
}

func TestApply_Generation(t *testing.T) {
	w := example(t)
	ref := manifest.DeploymentRef("shop", "web")
	step := func(want int64, replicas int32, change func(*appsv1.Deployment)) {
		t.Helper()
		p := deploymentPut(replicas, Authored)
		change(p.Object.(*appsv1.Deployment))
		b := reconcile(w, p)
		b.Adopt = &Adoption{Commit: fmt.Sprint("c", w.Revision())}
		w = apply(t, w, b)
		if got := w.Get(ref).Generation; got != want {
			t.Errorf("generation %d, want %d", got, want)
		}
	}
	step(1, 2, func(d *appsv1.Deployment) {})
	step(1, 2, func(d *appsv1.Deployment) { d.Labels = map[string]string{"a": "b"} })
	step(1, 2, func(d *appsv1.Deployment) { d.APIVersion, d.Kind = "apps/v1", "Deployment" })
	step(2, 3, func(d *appsv1.Deployment) {})
	w = apply(t, w, reconcile(w, Put{Ref: ref, Status: &appsv1.DeploymentStatus{Replicas: 3}}))
	if got := w.Get(ref); got.Generation != 2 || got.Origin != Authored {
		t.Errorf("a status made it %+v", got)
	}
}

func TestApply_GenerationsThatUpstreamCounts(t *testing.T) {
	w := example(t)
	for ref, want := range map[manifest.Ref]int64{
		{Group: "networking.k8s.io", Kind: "Ingress", Name: "a"}:      1,
		{Group: "example.com", Kind: "Anything", Name: "a"}:           1,
		{Group: "storage.k8s.io", Kind: "CSIDriver", Name: "a"}:       1,
		{Group: "storage.k8s.io", Kind: "StorageClass", Name: "a"}:    0,
		{Group: "rbac.authorization.k8s.io", Kind: "Role", Name: "a"}: 0,
		{Kind: "ConfigMap", Name: "a"}:                                0,
	} {
		w := apply(t, w, reconcile(w, Put{Ref: ref, Origin: Derived, Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}))
		if got := w.Get(ref).Generation; got != want {
			t.Errorf("%s: generation %d, want %d", ref, got, want)
		}
	}
}

func TestApply_Facts(t *testing.T) {
	w := example(t)
	a := manifest.PodRef("shop", "a")
	first := &Deletion{At: start, Grace: 30, Reason: "pruned"}
	w = apply(t, w, reconcile(w, Put{Ref: a, Deletion: first}))
	at := w.Revision()
	if first.Revision != 0 {
		t.Error("the Batch was changed")
	}
	w = apply(t, w, reconcile(w, Put{Ref: a, Deletion: &Deletion{At: start, Grace: 5}}))
	if d := w.Get(a).Deletion; d.Revision != at || d.Grace != 5 {
		t.Errorf("decided again: %+v; want the revision of the first time, %s", d, at)
	}
	w = apply(t, w, reconcile(w, Put{Ref: a, Deletion: &Deletion{At: start.Add(time.Second), Grace: 60}}))
	if d := w.Get(a).Deletion; !d.Deadline().Equal(start.Add(5 * time.Second)) {
		t.Errorf("decided a third time: %+v; want the grace not to grow", d)
	}
	node := manifest.NodeRef("node-1")
	for _, routed := range []Revision{9, 7} {
		b := Batch{Writer: NodeWriter("node-1"), Puts: []Put{{Ref: node, Routed: routed}}}
		w = apply(t, w, b)
	}
	if got := w.Get(node).Routed; got != 9 {
		t.Errorf("routed %s, want 9: it never goes back", got)
	}
	made := reconcile(w, podPut("x", "shop:1"))
	made.Puts = append(made.Puts, Put{Ref: manifest.PodRef("shop", "x"), Node: "node-2"})
	next, changes, err := Apply(w, made, w.Revision()+1)
	if err != nil || len(changes) != 1 || changes[0].Old != nil || next.Get(manifest.PodRef("shop", "x")).Node != "node-2" {
		t.Errorf("two facts of one new object: %v, %v", changes, err)
	}
}

func TestApply_History(t *testing.T) {
	w := example(t)
	for i := range HistoryLimit + 20 {
		b := reconcile(w)
		b.Adopt = &Adoption{Commit: fmt.Sprint("n", i)}
		before := w.History()
		kept := slices.Clone(before)
		w = apply(t, w, b)
		if len(before) != len(kept) || len(before) > 0 && before[0].Commit != kept[0].Commit {
			t.Fatal("the history of an older World was changed")
		}
	}
	h := w.History()
	if len(h) != HistoryLimit || h[len(h)-1].Commit != "n119" || h[0].Commit != "n20" || w.Adopted().Commit != "n119" || w.Adopted().Revision != w.Revision() {
		t.Errorf("%d adoptions from %s to %s, adopted %s", len(h), h[0].Commit, h[len(h)-1].Commit, w.Adopted().Commit)
	}
	again := reconcile(w)
	again.Adopt = &Adoption{Commit: "n119", Subject: "again"}
	if h := apply(t, w, again).History(); len(h) != HistoryLimit || h[len(h)-1].Subject != "again" || h[len(h)-2].Commit != "n118" {
		t.Errorf("the same commit again: %d adoptions ending with %s, %s", len(h), h[len(h)-2].Commit, h[len(h)-1].Commit)
	}
}

func TestRecord_Full(t *testing.T) {
	w := example(t)
	a := manifest.PodRef("shop", "a")
	w = apply(t, w, reconcile(w,
		Put{Ref: a, Status: &corev1.PodStatus{Phase: corev1.PodRunning}, Deletion: &Deletion{At: start, Grace: 30}},
		Put{Ref: manifest.DeploymentRef("shop", "web"), Status: &appsv1.DeploymentStatus{ReadyReplicas: 2}},
		Put{Ref: manifest.ServiceRef("shop", "web"), Allocation: &Allocation{ClusterIPs: []string{"10.96.0.7"}, NodePorts: map[string]int32{"TCP/80": 30080}}}))
	was := digest(t, w)
	pod := w.Get(a).Full().(*corev1.Pod)
	if pod.Kind != "Pod" || pod.APIVersion != "v1" || pod.UID != w.Get(a).UID || pod.ResourceVersion != w.Revision().String() ||
		pod.Generation != 1 || pod.Spec.NodeName != "node-1" || pod.Status.Phase != corev1.PodRunning ||
		!pod.DeletionTimestamp.Equal(&metav1.Time{Time: start.Add(30 * time.Second)}) || *pod.DeletionGracePeriodSeconds != 30 ||
		!pod.CreationTimestamp.Time.Equal(start.Truncate(time.Second)) {
		t.Errorf("Pod %+v", pod)
	}
	pod.Spec.Containers[0].Image, pod.Labels["app"] = "other", "other"
	if got := w.Get(manifest.DeploymentRef("shop", "web")).Full().(*appsv1.Deployment).Status.ReadyReplicas; got != 2 {
		t.Errorf("readyReplicas %d, want 2", got)
	}
	service := w.Get(manifest.ServiceRef("shop", "web")).Full().(*corev1.Service)
	if service.Spec.ClusterIP != "10.96.0.7" || !slices.Equal(service.Spec.ClusterIPs, []string{"10.96.0.7"}) {
		t.Errorf("Service %+v", service.Spec)
	}
	service.Spec.ClusterIPs[0] = "other"
	if digest(t, w) != was {
		t.Error("what Full answers is not the caller's own")
	}
	if got := (&Record{}).PodStatus().Phase; got != corev1.PodPending {
		t.Errorf("phase without a status %q", got)
	}
}

func TestDeletion_LongGrace(t *testing.T) {
	d := Deletion{At: start, Grace: 1 << 62}
	if left := d.Deadline().Sub(start); left < 99*365*24*time.Hour {
		t.Errorf("the grace of %d s is over after %v", d.Grace, left)
	}
}

func TestUIDOf(t *testing.T) {
	seen := map[types.UID]bool{}
	for _, ref := range []manifest.Ref{manifest.PodRef("a", "b"), manifest.PodRef("ab", ""), manifest.PodRef("", "ab"), manifest.ServiceRef("a", "b")} {
		for _, base := range []Revision{1, 11, FirstOf(1)} {
			uid := UIDOf(cluster, ref, base)
			if seen[uid] || uid != UIDOf(cluster, ref, base) || len(uid) != 36 {
				t.Errorf("uid %q of %s at %s", uid, ref, base)
			}
			seen[uid] = true
		}
	}
}

func TestRevision(t *testing.T) {
	r := FirstOf(3) + 5
	if r.Epoch() != 3 || FirstOf(4) <= r || r.String() != "3298534883333" {
		t.Errorf("revision %s of epoch %d", r, r.Epoch())
	}
}
