package state

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	iradix "github.com/hashicorp/go-immutable-radix/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
)

var (
	cluster = uuid.MustParse("6f1c6f0e-52a6-4f6c-9a60-0e6e2ba31c6b")
	start   = time.Date(2026, 11, 21, 9, 0, 0, 123, time.UTC)
)

// digest is everything that a World holds, as text. A World that was handed out must keep its own.
func digest(t testing.TB, w *World) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %s revision %s adopted %s\n", w.Cluster(), w.Revision(), w.Adopted().Commit)
	for _, a := range w.History() {
		data, err := EncodeAdoption(&a)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "adoption %x\n", data)
	}
	for r := range w.Records() {
		data, err := EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", r.Ref, data)
	}
	for _, index := range []struct {
		name string
		all  func() iter.Seq2[string, manifest.Ref]
	}{{"owner", entries(w.byOwner)}, {"node", entries(w.byNode)}, {"label", entries(w.byLabel)}} {
		for key, ref := range index.all() {
			fmt.Fprintf(&b, "%s %q %s\n", index.name, key, ref)
		}
	}
	return b.String()
}

func entries(tree *iradix.Tree[manifest.Ref]) func() iter.Seq2[string, manifest.Ref] {
	return func() iter.Seq2[string, manifest.Ref] {
		return func(yield func(string, manifest.Ref) bool) {
			it := tree.Root().Iterator()
			for key, ref, ok := it.Next(); ok; key, ref, ok = it.Next() {
				if !yield(string(key), ref) {
					return
				}
			}
		}
	}
}

// history makes Batches of random puts and deletes, as reconcile and two nodes would.
type history struct {
	random *rand.Rand
	now    time.Time
	commit int
}

func (h *history) pick(choices ...string) string { return choices[h.random.IntN(len(choices))] }

func (h *history) batch(w *World) Batch {
	h.now = h.now.Add(time.Second)
	if h.random.IntN(3) == 0 {
		return h.observed(w)
	}
	b := Batch{Writer: WriterReconcile, Base: w.Revision(), Now: h.now, Commit: w.Adopted().Commit}
	if h.random.IntN(5) == 0 {
		h.commit++
		b.Adopt = &Adoption{Commit: fmt.Sprintf("%040d", h.commit), Adopted: h.now}
	}
	there := slices.Collect(w.Records())
	gone := map[manifest.Ref]bool{}
	for range h.random.IntN(4) {
		if len(there) == 0 {
			break
		}
		r := there[h.random.IntN(len(there))]
		if gone[r.Ref] || r.Origin == Authored && b.Adopt == nil && r.Deletion == nil {
			continue
		}
		gone[r.Ref] = true
		b.Deletes = append(b.Deletes, Delete{Ref: r.Ref, UID: r.UID})
	}
	for r := range w.Pods("") {
		if r.Node == "" && !gone[r.Ref] && h.random.IntN(3) == 0 {
			b.Puts = append(b.Puts, Put{Ref: r.Ref, UID: r.UID, Node: "node-1"})
		}
	}
	for range 1 + h.random.IntN(6) {
		p := h.put(w)
		if p.Origin == Authored && b.Adopt == nil {
			p.Origin = Derived
		}
		if r := w.Get(p.Ref); r != nil && r.declared() && !gone[p.Ref] && b.Adopt == nil {
			p.Object, p.Origin = nil, 0 // what is declared is not made anew, only facts of it
		}
		b.Puts = append(b.Puts, p)
	}
	return b
}

func (h *history) put(w *World) Put {
	ns, name := h.pick("shop", "default"), "x-"+h.pick("a", "b", "c", "d", "e", "f")
	meta := metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"app": h.pick("web", "db"), "tier": h.pick("1", "2", "3")}}
	p := Put{Origin: Origin(1 + h.random.IntN(2))}
	switch h.random.IntN(7) {
	case 0:
		p.Ref, p.Object = manifest.SecretRef(ns, name), &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"k": []byte(h.pick("v", "w"))}}
	case 1:
		p.Ref, p.Object = manifest.ServiceRef(ns, name), &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": h.pick("web", "db")}}}
		p.Allocation = &Allocation{ClusterIPs: []string{"10.96.0." + h.pick("7", "8")}, NodePorts: map[string]int32{"TCP/80": 30080}}
	case 2:
		meta.OwnerReferences = h.owner(w, manifest.DeploymentRef(ns, name))
		p.Ref, p.Object = manifest.ReplicaSetRef(ns, name), &appsv1.ReplicaSet{ObjectMeta: meta}
		p.Status = &appsv1.ReplicaSetStatus{Replicas: int32(h.random.IntN(3))}
	case 3:
		p.Ref, p.Object = manifest.DeploymentRef(ns, name), &appsv1.Deployment{ObjectMeta: meta}
	case 4:
		meta.Labels["kubernetes.io/service-name"] = name
		p.Ref, p.Object = manifest.EndpointSliceRef(ns, name), &discoveryv1.EndpointSlice{ObjectMeta: meta}
	default:
		meta.OwnerReferences = h.owner(w, manifest.ReplicaSetRef(ns, name))
		p.Ref, p.Node = manifest.PodRef(ns, name), Node(h.pick("", "node-1", "node-2"))
		p.Object = &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
			ServiceAccountName: h.pick("", "builder"),
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
				Secret: &corev1.SecretVolumeSource{SecretName: "x-" + h.pick("a", "b", "c")}}}},
		}}
		if h.random.IntN(5) == 0 {
			p.Deletion = &Deletion{At: h.now, Grace: int64(h.random.IntN(60)), Reason: "scaled down"}
		}
	}
	return p
}

func (h *history) owner(w *World, ref manifest.Ref) []metav1.OwnerReference {
	r := w.Get(ref)
	if r == nil || h.random.IntN(3) == 0 {
		return nil
	}
	yes := true
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: ref.Kind, Name: ref.Name, UID: r.UID, Controller: &yes}}
}

func (h *history) observed(w *World) Batch {
	b := Batch{Writer: NodeWriter("node-1"), Base: w.Revision(), Now: h.now}
	for r := range w.OnNode("node-1") {
		b.Puts = append(b.Puts, Put{Ref: r.Ref, UID: r.UID, Status: &corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.244.0." + h.pick("1", "2")}})
	}
	return b
}

// walk applies random Batches and shows each step.
func walk(t *testing.T, seed uint64, steps int, each func(before *World, b Batch, changes []Change, after *World)) *World {
	t.Helper()
	h := &history{random: rand.New(rand.NewPCG(seed, 1)), now: start}
	w := NewWorld(cluster)
	w, _, err := Apply(w, Batch{Writer: WriterReconcile, Puts: []Put{
		{Ref: manifest.NodeRef("node-1"), Object: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, Origin: Derived},
		{Ref: manifest.NamespaceRef("shop"), Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, Origin: Builtin},
	}}, FirstOf(1))
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		b := h.batch(w)
		next, changes, err := Apply(w, b, w.Revision()+1)
		if err != nil {
			t.Fatalf("Apply: %v\n%+v", err, b)
		}
		each(w, b, changes, next)
		w = next
	}
	return w
}

func TestApply_RandomHistories(t *testing.T) {
	for seed := range uint64(20) {
		model := map[manifest.Ref]*Record{}
		for _, kind := range []manifest.Ref{manifest.NodeRef("node-1"), manifest.NamespaceRef("shop")} {
			model[kind] = nil
		}
		first := true
		walk(t, seed, 60, func(before *World, b Batch, changes []Change, after *World) {
			if first {
				first = false
				for r := range before.Records() {
					model[r.Ref] = r
				}
			}
			was := digest(t, before)
			again, sameChanges, err := Apply(before, b, after.Revision())
			if err != nil || digest(t, again) != digest(t, after) || len(sameChanges) != len(changes) {
				t.Fatalf("seed %d: applying twice gives two Worlds, %v", seed, err)
			}
			if digest(t, before) != was {
				t.Fatalf("seed %d: Apply changed the World that it was given", seed)
			}
			for _, c := range changes {
				if c.Old != model[c.Ref] {
					t.Fatalf("seed %d: change of %s is from another record", seed, c.Ref)
				}
				if c.New != after.Get(c.Ref) || c.Revision != after.Revision() || c.New != nil && c.New.Revision != after.Revision() {
					t.Fatalf("seed %d: change of %s does not lead to the World", seed, c.Ref)
				}
				if c.New == nil {
					delete(model, c.Ref)
				} else {
					model[c.Ref] = c.New
				}
			}
			compareWithModel(t, after, model)
			replayed := Replay(before, changes, adoptedBy(b, after), after.Revision())
			if got, want := digest(t, replayed), digest(t, after); got != want {
				t.Fatalf("seed %d: Replay gives\n%s\nwant\n%s", seed, got, want)
			}
		})
	}
}

func adoptedBy(b Batch, after *World) *Adoption {
	if b.Adopt == nil {
		return nil
	}
	a := after.Adopted()
	return &a
}

// compareWithModel answers every question of a World by looking at all records.
func compareWithModel(t *testing.T, w *World, model map[manifest.Ref]*Record) {
	t.Helper()
	all := slices.SortedFunc(maps.Values(model), func(a, b *Record) int { return a.Ref.Compare(b.Ref) })
	check := func(what string, got iter.Seq[*Record], belongs func(*Record) bool) {
		t.Helper()
		want := slices.DeleteFunc(slices.Clone(all), func(r *Record) bool { return !belongs(r) })
		found := slices.SortedFunc(got, func(a, b *Record) int { return a.Ref.Compare(b.Ref) })
		if !slices.Equal(found, want) {
			t.Fatalf("%s: %v, want %v", what, refs(found), refs(want))
		}
	}
	if w.Len() != len(model) {
		t.Fatalf("%d records, want %d", w.Len(), len(model))
	}
	if inOrder := slices.Collect(w.Records()); !slices.Equal(inOrder, all) {
		t.Fatalf("Records: %v, want %v", refs(inOrder), refs(all))
	}
	for _, n := range []Node{"node-1", "node-2", "node"} {
		check("OnNode", w.OnNode(n), func(r *Record) bool { return r.Ref.Kind == "Pod" && r.Node == n })
	}
	owners := map[types.UID]bool{"": true}
	for _, r := range all {
		owners[r.UID] = true
	}
	for uid := range owners {
		check("Owned", w.Owned(uid), func(r *Record) bool {
			c := metav1.GetControllerOf(r.Object)
			return c != nil && c.UID == uid
		})
	}
	for _, ns := range []string{"shop", "default", "sho"} {
		check("Pods", w.Pods(ns), func(r *Record) bool { return r.Ref.Kind == "Pod" && r.Ref.Namespace == ns })
		for _, s := range []string{"app=web", "app=db,tier!=1", "tier in (1,2)", "app", "", "app=we"} {
			selector, err := labels.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range []manifest.Ref{{Kind: "Pod"}, {Kind: "Service"}, {Group: "apps", Kind: "ReplicaSet"}} {
				check("Select "+s, w.Select(kind.Group, kind.Kind, ns, selector), func(r *Record) bool {
					return r.Ref.GroupKind() == kind.GroupKind() && r.Ref.Namespace == ns && selector.Matches(labels.Set(r.Object.GetLabels()))
				})
			}
		}
	}
	check("Services", w.Services(""), func(r *Record) bool { return r.Ref.Kind == "Service" })
	check("nil selector", w.Select("", "Pod", "shop", nil), func(*Record) bool { return false })
}

func refs(records []*Record) []string {
	var s []string
	for _, r := range records {
		s = append(s, r.Ref.String())
	}
	return s
}

func TestCodec_RoundTrip(t *testing.T) {
	for seed := range uint64(5) {
		w := walk(t, seed, 80, func(*World, Batch, []Change, *World) {})
		var decoder Decoder
		var records []*Record
		for r := range w.Records() {
			data, err := EncodeRecord(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decoder.Record(data)
			if err != nil {
				t.Fatal(err)
			}
			clear(data) // nothing may be shared with it
			records = append(records, got)
		}
		var adoptions []Adoption
		for _, a := range w.History() {
			data, err := EncodeAdoption(&a)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeAdoption(data)
			if err != nil {
				t.Fatal(err)
			}
			adoptions = append(adoptions, got)
		}
		loaded := Load(cluster, w.Revision(), adoptions, slices.Values(records))
		if got, want := digest(t, loaded), digest(t, w); got != want {
			t.Fatalf("stored and loaded:\n%s\nwant\n%s", got, want)
		}
	}
}

func TestCodec_Adoption(t *testing.T) {
	want := Adoption{Commit: "c", Tree: "t", Digest: "d", Branch: "main", Subject: "one line", Author: "A <a@example.com>",
		Committed: start.Add(-time.Hour), Adopted: start, Revision: FirstOf(2) + 7}
	want.Settings.Spec.PodCIDR = "10.244.0.0/16"
	data, err := EncodeAdoption(&want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeAdoption(data); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("adoption %+v, %v; want %+v", got, err, want)
	}
}

func TestDecoder_SharesPodSpecs(t *testing.T) {
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "shop:1"}}}
	var decoder Decoder
	var got []*corev1.Pod
	for _, name := range []string{"a", "b"} {
		data, err := EncodeRecord(&Record{Ref: manifest.PodRef("shop", name), Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := decoder.Record(data)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Pod())
	}
	if &got[0].Spec.Containers[0] != &got[1].Spec.Containers[0] {
		t.Error("equal specs are held twice")
	}
	if got[0].Name != "a" || got[1].Name != "b" || got[1].Spec.Containers[0].Image != "shop:1" {
		t.Errorf("pods %v", got)
	}
}

func TestDecodeRecord_Garbled(t *testing.T) {
	data, err := EncodeRecord(&Record{Ref: manifest.PodRef("shop", "a"), Created: start, Deletion: &Deletion{At: start, Grace: 30},
		Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, Status: &corev1.PodStatus{Phase: "Running"}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range data { // cut anywhere, or with a byte changed: an error or a record, never a panic
		if r, err := DecodeRecord(data[:n]); err == nil && r == nil {
			t.Errorf("cut at %d: neither record nor error", n)
		}
		wrong := slices.Clone(data)
		wrong[n] ^= 0x55
		if r, err := DecodeRecord(wrong); err == nil && r == nil {
			t.Errorf("byte %d: neither record nor error", n)
		}
	}
	later := append(slices.Clone(data), appendText(nil, 99, "a field of a later version")...)
	if r, err := DecodeRecord(later); err != nil || r.Ref.Name != "a" {
		t.Errorf("record with an unknown field: %v, %v", r, err)
	}
}
