package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
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
