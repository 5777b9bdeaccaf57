package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/schedule"
	"writ/state"
)

// litter is a World of Pods on a node, made one after the other: s(ucceeded), f(ailed), e(victed), r(unning),
// d(eclared in the repository, and succeeded).
func litter(t *testing.T, kinds string) *state.World {
	t.Helper()
	w := state.NewWorld(uuid.MustParse("00000000-0000-4000-8000-000000000001"))
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	apply := func(b state.Batch) {
		t.Helper()
		next, _, err := state.Apply(w, b, w.Revision()+1)
		if err != nil {
			t.Fatal(err)
		}
		w = next
	}
	for i, kind := range kinds {
		ref := manifest.PodRef("default", fmt.Sprintf("%c%d", kind, i))
		p := state.Put{Ref: ref, Origin: state.Derived, Node: "n", Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: ref.Name}}}
		b := state.Batch{Writer: state.WriterReconcile, Base: w.Revision(), Now: at.Add(time.Duration(i) * time.Minute), Puts: []state.Put{p}}
		if kind == 'd' {
			b.Puts[0].Origin, b.Adopt = state.Authored, &state.Adoption{Commit: "c1"}
		}
		apply(b)
		status := &corev1.PodStatus{Phase: map[rune]corev1.PodPhase{'s': corev1.PodSucceeded, 'd': corev1.PodSucceeded, 'f': corev1.PodFailed, 'e': corev1.PodFailed, 'r': corev1.PodRunning}[kind]}
		if kind == 'e' {
			status.Reason = "Evicted"
		}
		apply(state.Batch{Writer: state.NodeWriter("n"), Now: b.Now, Puts: []state.Put{{Ref: ref, UID: w.Get(ref).UID, Status: status}}})
	}
	return w
}

func TestCollectEnded(t *testing.T) {
	for _, tt := range []struct {
		pods string
		most int
		want string
	}{
		{"sfers", 0, ""},
		{"sfers", 4, ""},
		{"sfers", 3, "e2"},
		{"sfers", 1, "e2 s0 f1"},
		{"esfe", 2, "e0 e3"},
		{"sfsf", -1, ""},
		{"dddss", 1, "s3"}, // what the repository declares stays
	} {
		d := newDraft(litter(t, tt.pods), time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), Options{EndedPods: tt.most})
		d.placement()
		p := d.plan()
		var got []string
		for _, put := range p.Batch.Puts {
			if put.Deletion == nil || put.Deletion.Grace != 0 {
				t.Errorf("%s, %d: %s is put otherwise", tt.pods, tt.most, put.Ref)
			}
			got = append(got, put.Ref.Name)
		}
		slices.Sort(got)
		want := strings.Fields(tt.want)
		slices.Sort(want)
		if d.err != nil || !slices.Equal(got, want) {
			t.Errorf("%s with at most %d: %v go, %v, want %v", tt.pods, tt.most, got, d.err, want)
		}
		again := newDraft(d.w, d.now, d.options)
		again.placement()
		if n := len(again.plan().Batch.Puts); n != 0 {
			t.Errorf("%s with at most %d: %d more go at once", tt.pods, tt.most, n)
		}
	}
}

// Whatever comes, changes and goes: who is taken out first is always who comes first.
func TestLittering(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	model := map[manifest.Ref]*state.Record{}
	first := func() manifest.Ref {
		evicted := func(r *state.Record) bool { return r.PodStatus().Reason == "Evicted" }
		return slices.MinFunc(slices.Collect(maps.Values(model)), func(a, b *state.Record) int {
			if evicted(a) != evicted(b) {
				return map[bool]int{true: -1, false: 1}[evicted(a)]
			}
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Ref.Name, b.Ref.Name))
		}).Ref
	}
	var l littering
	for i := range 3000 {
		ref := manifest.PodRef("default", fmt.Sprint("p", random.IntN(40)))
		r := &state.Record{Ref: ref, Origin: state.Derived, Object: &corev1.Pod{}, Created: at.Add(time.Duration(random.IntN(9)) * time.Second)}
		switch random.IntN(6) {
		case 0:
			r.Status = &corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}
		case 1, 2:
			r.Status = &corev1.PodStatus{Phase: corev1.PodSucceeded}
		case 3:
			r.Status = &corev1.PodStatus{Phase: corev1.PodRunning}
		case 4:
			r = nil
		case 5:
			if len(model) > 0 {
				want := first()
				if got := l.first(); got != want {
					t.Fatalf("step %d: %s is first, want %s", i, got, want)
				}
				delete(model, want)
			}
			continue
		}
		l.set(ref, r)
		if delete(model, ref); r != nil && litters(r) {
			model[ref] = r
		}
		if l.Len() != len(model) || len(l.by) != len(model) {
			t.Fatalf("step %d: %d and %d of %d", i, l.Len(), len(l.by), len(model))
		}
	}
	if len(model) == 0 {
		t.Error("nothing was left to order")
	}
}

// One more Pod that ends costs no look at all that have.
func BenchmarkCollectEnded(b *testing.B) {
	c := capacity{nodes: schedule.NewIndex(state.NewWorld(uuid.Nil)), waiting: map[manifest.Ref]bool{}}
	end := func(i int) {
		ref := manifest.PodRef("default", fmt.Sprint("p", i))
		c.update([]state.Change{{Ref: ref, New: &state.Record{Ref: ref, Origin: state.Derived, Node: "n", Object: &corev1.Pod{},
			Created: time.Unix(int64(i), 0), Status: &corev1.PodStatus{Phase: corev1.PodSucceeded}}}})
	}
	n := 0
	for ; n < DefaultEndedPods; n++ {
		end(n)
	}
	for b.Loop() {
		end(n)
		c.ended.first()
		n++
	}
}
